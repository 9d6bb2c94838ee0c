"""What every gallery promises, as tests of a fixture ``gallery``: one that is empty, of ``SPACE``.

The stand-in keeps all of it in tests/contract; Milvus Lite's server does, and a real Milvus what could differ there, in
tests/integration.
"""

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from streams.core.explain.look import COLUMNS, ROWS, Look, Measure, Region, outline
from streams.core.explain.spread import Spread
from streams.core.faces import Embedding, EmbeddingSpace
from streams.core.gallery import Identity, Origin, Reference
from streams.core.similarity import centroid, concentration
from streams.errors import BadInput
from streams.ports import Gallery
from streams.testing.gallery import InMemoryGallery

SPACE = EmbeddingSpace("facenet-128", "ab" * 32, 128, "mtcnn", "box", "whitened")

SPREAD = Spread(people=5, references=15, measures={Measure.SHARPNESS: 0.25}, regions={})

#: One unit of the last decimal of a similarity, and room for binary fractions.
ONE_STEP = 1.0001e-4


def vectors(count: int, seed: int) -> list[Embedding]:
    drawn = np.random.default_rng(seed).normal(size=(count, SPACE.dimension))
    return list((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32))


def references_of(name: str, embeddings: Sequence[Embedding], origin: Origin = Origin.PHOTO) -> list[Reference]:
    return [
        Reference(f"{name}-{index:05d}", name, origin, f"{index:064x}", embedding)
        for index, embedding in enumerate(embeddings)
    ]


def identity_of(references: Sequence[Reference], *, protected: bool = False) -> Identity:
    embeddings = [reference.embedding for reference in references]
    return Identity(
        identity=references[0].identity,
        origin=references[0].origin,
        centroid=centroid(embeddings),
        references=len(references),
        concentration=concentration(embeddings),
        protected=protected,
        conditioning={"face_gan": (0.1, -2.5e-7, 3.0), "face/diffusion": ()},
    )


async def enrol(gallery: Gallery, name: str, seed: int, count: int = 3, **how: bool) -> list[Reference]:
    references = references_of(name, vectors(count, seed))
    await gallery.enrol(identity_of(references, **how), references)
    return references


def assert_equals_brute_force(
    found: Sequence[tuple[str, float]], probe: Embedding, candidates: dict[str, Embedding], limit: int
) -> None:
    truth = {name: float(np.dot(probe.astype(float), vector.astype(float))) for name, vector in candidates.items()}
    assert len(found) == min(limit, len(candidates))
    assert list(found) == sorted(found, key=lambda near: (-near[1], near[0]))
    for name, similarity in found:
        assert similarity == pytest.approx(truth[name], abs=ONE_STEP)
    left_out = truth.keys() - {name for name, _ in found}
    assert all(truth[name] <= found[-1][1] + ONE_STEP for name in left_out)


async def test_a_search_equals_brute_force_on_six_hundred_random_vectors(gallery: Gallery) -> None:
    enrolled = [
        reference
        for index in range(12)
        for reference in await enrol(gallery, f"person-{index:02d}", seed=index, count=50)
    ]
    centroids = {name: each.centroid for name, each in (await gallery.identities(await gallery.names())).items()}
    embeddings = {reference.reference_id: reference.embedding for reference in enrolled}
    probes = [*vectors(30, seed=99), enrolled[7].embedding, -enrolled[7].embedding]
    for probe, near in zip(probes, await gallery.search(probes, identities=5, references=20), strict=True):
        people = [(each.identity, each.similarity) for each in near.identities]
        assert_equals_brute_force(people, probe, centroids, 5)
        pictures = [(reference, similarity) for reference, _, similarity in near.references]
        assert_equals_brute_force(pictures, probe, embeddings, 20)
        assert all(reference.startswith(identity) for reference, identity, _ in near.references)


async def test_the_nearest_reference_of_an_enrolled_image_is_itself_at_similarity_one(gallery: Gallery) -> None:
    references = await enrol(gallery, "anna", seed=1)
    (near,) = await gallery.search([references[1].embedding], references=1)
    assert near.references == ((references[1].reference_id, "anna", 1.0),)


@pytest.mark.parametrize("backwards", [False, True])
async def test_equally_near_references_come_in_order_of_their_ids(gallery: Gallery, backwards: bool) -> None:
    one, two = vectors(2, seed=5)
    for name, same in sorted({"anna": one, "bert": one, "carl": two}.items(), reverse=backwards):
        references = references_of(name, [same] * 30)
        await gallery.enrol(identity_of(references), references[:: -1 if backwards else 1])
    (near,) = await gallery.search([one], identities=1, references=3)
    assert [reference for reference, _, _ in near.references] == ["anna-00000", "anna-00001", "anna-00002"]
    assert [each.identity for each in near.identities] == ["anna"]
    (_, beside) = await gallery.search([two, one], identities=1, references=3)
    assert beside == near


async def test_a_search_says_who_is_protected(gallery: Gallery) -> None:
    references = await enrol(gallery, "anna", seed=1, protected=True)
    await enrol(gallery, "bert", seed=2)
    (near,) = await gallery.search([references[0].embedding])
    assert {each.identity: each.protected for each in near.identities} == {"anna": True, "bert": False}


async def test_a_search_of_an_empty_gallery_finds_nobody(gallery: Gallery) -> None:
    near = await gallery.search(vectors(2, seed=1))
    assert [(each.identities, each.references) for each in near] == [((), ()), ((), ())]


async def test_a_search_without_probes_or_without_room_gives_nothing(gallery: Gallery) -> None:
    references = await enrol(gallery, "anna", seed=1)
    assert await gallery.search([]) == []
    (near,) = await gallery.search([references[0].embedding], identities=0, references=0)
    assert (near.identities, near.references) == ((), ())


async def test_what_was_enrolled_comes_back_exactly(gallery: Gallery) -> None:
    references = references_of("anna@lab/3", vectors(3, seed=4))
    identity = identity_of(references, protected=True)
    await gallery.enrol(identity, list(reversed(references)))
    back = (await gallery.identities(["anna@lab/3"]))["anna@lab/3"]
    np.testing.assert_array_equal(back.centroid, identity.centroid)
    assert dataclasses.replace(back, centroid=None).__dict__ == dataclasses.replace(identity, centroid=None).__dict__
    found = await gallery.references("anna@lab/3")
    assert [each.reference_id for each in found] == [each.reference_id for each in references]
    for one, other in zip(found, references, strict=True):
        assert (one.identity, one.origin, one.image_sha256) == (other.identity, other.origin, other.image_sha256)
        assert one.embedding.dtype == np.float32
        np.testing.assert_array_equal(one.embedding, other.embedding)


async def test_all_references_come_back_when_there_are_thousands(gallery: Gallery) -> None:
    references = await enrol(gallery, "anna", seed=6, count=2500)
    await enrol(gallery, "bert", seed=7)
    found = await gallery.references("anna")
    assert [each.reference_id for each in found] == [each.reference_id for each in references]


async def test_enrolling_again_replaces_the_old_references(gallery: Gallery) -> None:
    old = await enrol(gallery, "anna", seed=1, count=5)
    new = await enrol(gallery, "anna", seed=2, count=2)
    assert [each.reference_id for each in await gallery.references("anna")] == [each.reference_id for each in new]
    assert (await gallery.identities(["anna"]))["anna"].references == 2
    (near,) = await gallery.search([old[4].embedding], references=10)
    assert {reference for reference, _, _ in near.references} == {each.reference_id for each in new}


async def test_identities_returns_only_those_that_are_enrolled(gallery: Gallery) -> None:
    await enrol(gallery, "anna", seed=1)
    await enrol(gallery, "bert", seed=2)
    assert list(await gallery.identities(["bert", "nobody", "bert"])) == ["bert"]
    assert await gallery.identities([]) == {}


async def test_text_that_is_no_name_is_simply_not_enrolled(gallery: Gallery) -> None:
    await enrol(gallery, "anna", seed=1)
    before = await gallery.version()
    texts = ['x" or identity != "', "x' or 1 == 1", "a\\", "", "ä", "a" * 201, "a\nb"]
    assert await gallery.identities(texts) == {}
    assert await gallery.recall(texts) == {}
    for text in texts:
        assert await gallery.references(text) == []
        assert await gallery.remove(text) == before
    assert await gallery.names() == ["anna"]


async def test_names_are_sorted(gallery: Gallery) -> None:
    for index, name in enumerate(["carl", "Anna", "bert"]):
        await enrol(gallery, name, seed=index)
    assert await gallery.names() == ["Anna", "bert", "carl"]


async def test_a_removed_identity_leaves_nothing_behind(gallery: Gallery) -> None:
    references = await enrol(gallery, "anna", seed=1)
    await enrol(gallery, "bert", seed=2)
    await gallery.remove("anna")
    assert await gallery.names() == ["bert"]
    assert await gallery.identities(["anna"]) == {}
    assert await gallery.references("anna") == []
    (near,) = await gallery.search([references[0].embedding], references=10)
    assert {identity for _, identity, _ in near.references} == {"bert"}
    assert [each.identity for each in near.identities] == ["bert"]


async def test_the_version_changes_with_every_enrolment_and_removal(gallery: Gallery) -> None:
    versions = [await gallery.version()]
    assert versions == [""]
    for change in ("anna", "bert", "anna"):
        await enrol(gallery, change, seed=len(versions))
        versions.append(await gallery.version())
    versions.append(await gallery.remove("bert"))
    assert versions[-1] == await gallery.version()
    assert len(set(versions)) == len(versions)


async def test_removing_somebody_unknown_changes_nothing(gallery: Gallery) -> None:
    await enrol(gallery, "anna", seed=1)
    before = await gallery.version()
    assert await gallery.remove("nobody") == before == await gallery.version()


async def test_a_gallery_that_was_emptied_has_no_version_and_no_domain(gallery: Gallery) -> None:
    await enrol(gallery, "anna", seed=1)
    assert await gallery.domain() is Origin.PHOTO
    assert await gallery.remove("anna") == ""
    assert await gallery.version() == ""
    assert await gallery.domain() is None


async def test_equal_histories_have_equal_versions_in_every_gallery(gallery: Gallery) -> None:
    other = InMemoryGallery(SPACE)
    for each in (gallery, other):
        await enrol(each, "anna", seed=1)
        await enrol(each, "bert", seed=2, protected=True)
        await each.remove("anna")
    assert await gallery.version() == await other.version() != ""


async def test_the_version_depends_on_what_was_enrolled(gallery: Gallery) -> None:
    seen = set()
    for seed, protected in ((1, False), (2, False), (1, True)):
        await enrol(gallery, "anna", seed=seed, protected=protected)
        seen.add(await gallery.version())
        await gallery.remove("anna")
    assert len(seen) == 3


async def test_an_identity_of_another_origin_is_refused(gallery: Gallery) -> None:
    await enrol(gallery, "anna", seed=1)
    made = references_of("gan-1", vectors(2, seed=2), Origin.SYNTHETIC)
    with pytest.raises(BadInput, match=r"photo.*synthetic"):
        await gallery.enrol(identity_of(made), made)
    assert await gallery.names() == ["anna"]


def _broken(reference: Reference) -> dict[str, Embedding]:
    good = reference.embedding
    nan = good.copy()
    nan[3] = np.nan
    return {"nan": nan, "infinite": good * np.inf, "long": good * 1.01, "zero": good * 0, "short": good[:64]}


async def test_a_vector_that_is_not_of_unit_length_and_shape_is_refused_everywhere(gallery: Gallery) -> None:
    (good, *_) = references = references_of("bert", vectors(2, seed=2))
    with np.errstate(invalid="ignore"):
        broken_ones = _broken(good).values()
    for broken in broken_ones:
        with pytest.raises(BadInput, match="expected reference bert-00001"):
            await gallery.enrol(identity_of(references), [good, dataclasses.replace(references[1], embedding=broken)])
        with pytest.raises(BadInput, match="expected the centroid of bert"):
            await gallery.enrol(dataclasses.replace(identity_of(references), centroid=broken), references)
        with pytest.raises(BadInput, match="expected a probe"):
            await gallery.search([good.embedding, broken])
        with pytest.raises(BadInput, match="expected the embedding of sample"):
            await gallery.remember({"0" * 32: good.embedding, "1" * 32: broken})
    assert await gallery.names() == []
    assert await gallery.version() == ""
    assert await gallery.recall(["0" * 32, "1" * 32]) == {}


async def test_an_enrolment_that_does_not_hang_together_is_refused(gallery: Gallery) -> None:
    one, two = references_of("anna", vectors(2, seed=1))
    identity = identity_of([one, two])
    wrong = {
        "none": (dataclasses.replace(identity, references=0), []),
        "fewer": (identity, [one]),
        "twice": (identity, [one, one]),
        "a stranger's": (identity, [one, dataclasses.replace(two, identity="bert")]),
        "another origin's": (identity, [one, dataclasses.replace(two, origin=Origin.SYNTHETIC)]),
        "no name": (dataclasses.replace(identity, identity='a"b'), [one, two]),
        "no id": (identity, [one, dataclasses.replace(two, reference_id='a"b')]),
    }
    for who, references in wrong.values():
        with pytest.raises(BadInput, match="expected"):
            await gallery.enrol(who, references)
    assert await gallery.names() == []
    assert await gallery.references("anna") == []


async def test_remembered_samples_come_back_exactly_and_remembering_again_changes_nothing(gallery: Gallery) -> None:
    samples = {f"{index:032x}": vector for index, vector in enumerate(vectors(16, seed=3), start=1)}
    for _ in range(2):
        await gallery.remember(samples)
        back = await gallery.recall([*reversed(samples), "f" * 32])
        assert list(back) == list(reversed(samples))
        for sample_id, vector in samples.items():
            np.testing.assert_array_equal(back[sample_id], vector)


async def test_remembered_samples_are_no_part_of_the_gallery(gallery: Gallery) -> None:
    (vector,) = vectors(1, seed=3)
    await gallery.remember({"a" * 32: vector})
    await gallery.remember({})
    (near,) = await gallery.search([vector])
    assert (near.identities, near.references) == ((), ())
    assert await gallery.version() == ""
    assert await gallery.recall([]) == {}


async def test_an_embedding_that_is_taken_out_is_gone_and_no_other(gallery: Gallery) -> None:
    one, other = (each.embedding for each in references_of("anna", vectors(2, seed=9)))
    await gallery.remember({"a" * 32: one, "b" * 32: other})

    await gallery.unremember(["a" * 32, "c" * 32])

    assert list(await gallery.recall(["a" * 32, "b" * 32])) == ["b" * 32]
    await gallery.unremember(["a" * 32, "b" * 32, 'no" name'])
    assert await gallery.recall(["a" * 32, "b" * 32]) == {}


def looks_of(references: Sequence[Reference], seed: int) -> dict[str, Look]:
    drawn = np.random.default_rng(seed)
    return {
        one.reference_id: Look(
            {Measure.SHARPNESS: float(drawn.normal()), Measure.SKIN_TONE: 45.0},
            outline(drawn.normal(size=(len(Region), ROWS, COLUMNS, 3)).astype(np.float32)),
        )
        for one in references
    }


def assert_same_looks(found: Mapping[str, Look], expected: Mapping[str, Look]) -> None:
    assert found.keys() == expected.keys()
    for key, look in expected.items():
        assert found[key].measures == look.measures
        np.testing.assert_array_equal(found[key].regions, look.regions)


async def test_how_references_look_comes_back_exactly_and_goes_with_them(gallery: Gallery) -> None:
    references = references_of("anna", vectors(3, seed=1))
    looks = looks_of(references, seed=2)
    await gallery.enrol(identity_of(references), references, looks)
    await enrol(gallery, "bert", seed=3)
    found = await gallery.looks(["anna", "bert", "nobody"])
    assert found.keys() == {"anna"}
    assert_same_looks(found["anna"], looks)

    fewer = dict(list(looks.items())[:1])
    await gallery.enrol(identity_of(references), references, fewer)
    assert_same_looks((await gallery.looks(["anna"]))["anna"], fewer)
    await gallery.put_looks("anna", looks)
    assert_same_looks((await gallery.looks(["anna"]))["anna"], looks)
    await gallery.remove("anna")
    assert await gallery.looks(["anna"]) == {}


async def test_what_is_known_of_looks_is_never_older_than_the_version_that_it_is_asked_for(gallery: Gallery) -> None:
    references = references_of("anna", vectors(3, seed=1))
    await gallery.put_spread(SPREAD)
    for seed in (2, 3):
        looks = looks_of(references, seed)
        version = await gallery.enrol(identity_of(references), references, looks)
        for _ in range(2):
            known = await gallery.known_looks(["anna", "nobody"], version)
            assert (known.of.keys(), known.spread) == ({"anna"}, SPREAD)
            assert_same_looks(known.of["anna"], looks)
    assert (await gallery.known_looks(["anna"], await gallery.remove("anna"))).of == {}


async def test_how_references_look_is_no_part_of_the_version(gallery: Gallery) -> None:
    references = await enrol(gallery, "anna", seed=1)
    before = await gallery.version()
    await gallery.put_looks("anna", looks_of(references, seed=2))
    await gallery.put_spread(SPREAD)
    assert await gallery.version() == before


async def test_the_spread_that_was_stored_last_comes_back(gallery: Gallery) -> None:
    for people in (5, 6):
        await gallery.put_spread(SPREAD.model_copy(update={"people": people}))
        assert await gallery.spread() == SPREAD.model_copy(update={"people": people})
