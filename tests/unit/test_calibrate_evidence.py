"""Where comparisons come from: images, pairs, the gallery, and samples that somebody reviewed."""

from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from streams.core.gallery import Origin, Reference, reference_id
from streams.core.ledger import Outcome, Registration, State
from streams.core.measurement import Measurement, NearOther
from streams.core.records import Record
from streams.core.similarity import centroid, similarity, unit
from streams.errors import BadInput
from streams.ports import Services
from streams.tools.enrol import summarise
from streams.tools.rates.evidence import of_gallery, of_identities, of_pairs, of_reviewed
from streams.tools.rates.labels import Labelled, Pair, Reviewed
from tests.seen_faces import SEEN, SPACE, face, people


def vectors(count: int, seed: int) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    centre = random.normal(size=8)
    return [unit((centre + 0.3 * random.normal(size=8)).astype(np.float32)) for _ in range(count)]


async def put(services: Services, identity: str, embeddings: list[np.ndarray]) -> None:
    references = []
    for number, embedding in enumerate(embeddings):
        sha256 = f"{hash_of(identity)}{number:032x}"
        key = reference_id(identity, sha256)
        references.append(Reference(key, identity, Origin.SYNTHETIC, sha256, embedding))
    await services.gallery.enrol(summarise(identity, references), references)


def hash_of(identity: str) -> str:
    return identity.encode().hex().ljust(32, "0")[:32]


def test_of_people_only_images_with_one_face_take_part_as_in_a_gallery():
    images, seen = people(4, 3, 0.1)
    crowd, gone = Labelled(Path("0/crowd"), "person-0"), Labelled(Path("0/gone"), "person-0")
    seen |= {crowd.path: face(1, faces=2), gone.path: SEEN[Path("gone")]}

    given = of_identities([*images, crowd, gone], seen, domain=Origin.PHOTO, space=SPACE, words="people")

    assert (len(given.comparisons.mated), len(given.comparisons.non_mated)) == (12, 36)
    assert (given.images, given.failures, given.missing) == (13, 1, 1)
    assert (given.comparator, given.normalised, given.references) == ("centroid/raw", None, 3)


def test_a_cohort_gives_the_same_comparisons_score_normalised():
    images, seen = people(4, 3, 0.4)
    _, strangers = people(30, 1, 0.0, seed=9)
    given = of_identities(
        images, seen, domain=Origin.PHOTO, space=SPACE, words="people", cohort=list(strangers.values())
    )
    assert given.normalised is not None
    assert given.normalised.mated.shape == given.comparisons.mated.shape
    np.testing.assert_array_equal(given.normalised.non_mated_subjects, given.comparisons.non_mated_subjects)
    assert given.normalised.mated.mean() > 2 > given.normalised.non_mated.mean()


def test_a_cohort_without_faces_is_refused():
    images, seen = people(3, 2, 0.1)
    with pytest.raises(BadInput, match="cohort of two faces at least, got 0"):
        of_identities(images, seen, domain=Origin.PHOTO, space=SPACE, words="", cohort=[SEEN[Path("empty")]])


def test_of_pairs_only_those_with_one_face_each_are_compared():
    listed = [
        Pair(Path(a), Path(b), mated)
        for a, b, mated in [("a1", "a2", True), ("b1", "b2", True), ("a1", "b1", False), ("a1", "empty", True)]
    ]
    given = of_pairs(listed, SEEN, domain=Origin.PHOTO, space=SPACE, words="pairs")
    assert (len(given.comparisons.mated), len(given.comparisons.non_mated)) == (1, 1)
    assert (given.images, given.failures, given.comparator, given.margins) == (5, 2, "pair/raw", None)


async def test_of_the_gallery_each_reference_is_left_out_of_its_own_centroid(services: Services):
    held = {name: vectors(4, seed) for seed, name in enumerate(["dora", "emil"])}
    for name, embeddings in held.items():
        await put(services, name, embeddings)

    given = await of_gallery(services.gallery, space=SPACE)

    expected = [
        similarity(probe, centroid([other for other in embeddings if other is not probe]))
        for embeddings in held.values()
        for probe in embeddings
    ]
    # The four that every test starts with have one reference each, and no mated comparison.
    assert sorted(given.comparisons.mated) == pytest.approx(sorted(expected), abs=2e-4)
    assert len(given.comparisons.non_mated) == (4 + 8) * 5
    assert (given.domain, given.images, given.references) == (Origin.SYNTHETIC, 12, 1)


async def judged(
    services: Services, sample_id: str, similarity: float | None, faces: int = 1, space: str = SPACE
) -> None:
    """Put a sample that was judged into the ledger."""
    measured = Measurement(
        sample_id=sample_id,
        identity="anna",
        embedding_space=space,
        gallery_version="v",
        references=1,
        faces=faces,
        similarity=similarity,
        others=(NearOther(identity="bert", similarity=0.25),),
    )
    at = services.now()
    await services.ledger.register([[Registration(sample_id, "training", b"{}", at)]])
    record = Record("samples.flagged", sample_id.encode(), b"{}", (), at + timedelta(seconds=1))
    await services.ledger.decide(
        [Outcome(sample_id, State.FLAGGED, record, measured.model_dump_json(exclude_none=True))]
    )


def number(place: int) -> str:
    return f"{place:032x}"


async def test_of_reviewed_samples_the_similarity_is_the_one_that_the_verdict_rests_on(services: Services):
    await judged(services, number(1), 0.9)
    await judged(services, number(2), 0.3)
    await judged(services, number(3), None, faces=0)
    listed = [Reviewed(number(1), None, True), Reviewed(number(2), None, False), Reviewed(number(3), None, True)]

    given = await of_reviewed(listed, {}, services.gallery, services.ledger, space=SPACE, words="reviewed")

    assert (given.comparisons.mated.tolist(), given.comparisons.non_mated.tolist()) == ([0.9], [0.3])
    assert given.margins is not None
    assert given.margins.tolist() == [0.65]
    assert (given.images, given.failures, given.comparisons.subjects, given.domain) == (3, 1, 1, Origin.SYNTHETIC)


async def test_of_reviewed_files_the_similarity_is_that_to_the_gallery_of_now(services: Services):
    seen = {Path("anna.png"): face(1, 0.5), Path("bert.png"): face(0, 1), Path("none.png"): SEEN[Path("empty")]}
    listed = [
        Reviewed(Path("anna.png"), "anna", True),
        Reviewed(Path("bert.png"), "anna", False),
        Reviewed(Path("none.png"), "anna", True),
    ]
    given = await of_reviewed(listed, seen, services.gallery, services.ledger, space=SPACE, words="reviewed")

    assert given.comparisons.mated == pytest.approx([2 / 5**0.5], abs=1e-4)
    assert given.comparisons.non_mated == pytest.approx([0], abs=1e-4)
    assert given.margins == pytest.approx([1 / 5**0.5], abs=1e-4)
    assert (given.images, given.failures) == (3, 1)


async def test_a_reviewed_sample_that_nobody_judged_is_refused(services: Services):
    with pytest.raises(BadInput, match=f"no measurement of sample {number(7)}"):
        await of_reviewed(
            [Reviewed(number(7), None, True)], {}, services.gallery, services.ledger, space=SPACE, words=""
        )


async def test_a_sample_of_another_embedding_space_is_refused(services: Services):
    await judged(services, number(1), 0.9, space="other/1")
    with pytest.raises(BadInput, match="embedding space other/1"):
        await of_reviewed(
            [Reviewed(number(1), None, True)], {}, services.gallery, services.ledger, space=SPACE, words=""
        )


async def test_a_reviewed_file_of_somebody_who_is_not_enrolled_is_refused(services: Services):
    with pytest.raises(BadInput, match="nobody is enrolled as zoe"):
        await of_reviewed(
            [Reviewed(Path("a1"), "zoe", True)], SEEN, services.gallery, services.ledger, space=SPACE, words=""
        )
