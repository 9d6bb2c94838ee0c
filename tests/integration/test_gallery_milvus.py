"""What only a real server can show: spaces beside each other, outages, passwords, many rows, changes cut off."""

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pymilvus import MilvusClient, MilvusException

from streams.adapters.milvus.gallery import MilvusGallery
from streams.adapters.milvus.rows import Rows
from streams.adapters.milvus.schema import NO_MEANING, Collection, Collections, Row, identity_row
from streams.core.explain.look import VALUES, Look, Region
from streams.core.faces import Embedding, EmbeddingSpace
from streams.core.gallery import Identity, Origin, Reference
from streams.errors import BadInput, DependencyUnavailable, SpaceMismatch
from streams.testing.milvus_server import MilvusServer

SPACE = EmbeddingSpace("facenet-128", "ab" * 32, 8, "mtcnn", "box", "whitened")
OTHER = dataclasses.replace(SPACE, embedder="facenet-casia-webface")

Opener = Callable[..., MilvusGallery]


def vectors(count: int, seed: int) -> list[Embedding]:
    drawn = np.random.default_rng(seed).normal(size=(count, SPACE.dimension))
    return list((drawn / np.linalg.norm(drawn, axis=1, keepdims=True)).astype(np.float32))


def person(name: str, seed: int, count: int = 2) -> tuple[Identity, list[Reference]]:
    embeddings = vectors(count, seed)
    references = [
        Reference(f"{name}-{seed}-{index}", name, Origin.PHOTO, "0" * 64, embedding)
        for index, embedding in enumerate(embeddings)
    ]
    return Identity(name, Origin.PHOTO, embeddings[0], count, 0.5), references


@pytest.fixture(params=["lite", "standalone"])
def server(request: pytest.FixtureRequest) -> MilvusServer:
    return request.getfixturevalue(request.param)


@pytest.fixture
def empty(server: MilvusServer) -> MilvusServer:
    return without_collections(server)


@pytest.fixture
def empty_lite(lite: MilvusServer) -> MilvusServer:
    return without_collections(lite)


def without_collections(server: MilvusServer) -> MilvusServer:
    client = connect(server)
    for name in client.list_collections():
        client.drop_collection(name)
    client.close()
    return server


@pytest.fixture
async def gallery_of() -> AsyncIterator[Opener]:
    made: list[MilvusGallery] = []

    def make(server: MilvusServer, space: EmbeddingSpace = SPACE, timeout_seconds: float = 20) -> MilvusGallery:
        made.append(MilvusGallery(server.uri, server.token, space, timeout_seconds))
        return made[-1]

    yield make
    for gallery in made:
        await gallery.close()


def connect(server: MilvusServer) -> MilvusClient:
    return MilvusClient(server.uri, token=server.token, timeout=20, dedicated=True)


def drop(server: MilvusServer, collection: Collection) -> None:
    client = connect(server)
    client.drop_collection(collection.name)
    client.close()


async def test_only_enrolment_makes_a_gallery_and_a_worker_waits_for_it(
    empty_lite: MilvusServer, gallery_of: Opener
) -> None:
    worker = gallery_of(empty_lite)
    with pytest.raises(DependencyUnavailable, match=r"nobody is enrolled yet in .*`likeness enrol`") as caught:
        await worker.open()
    assert caught.value.dependency == "milvus"
    client = connect(empty_lite)
    assert client.list_collections() == []
    client.close()

    enrolment = gallery_of(empty_lite)
    await enrolment.open(create=True)
    await enrolment.enrol(*person("anna", seed=1))
    await worker.open()
    assert await worker.names() == ["anna"]


async def test_a_gallery_from_which_everybody_was_removed_is_there(
    empty_lite: MilvusServer, gallery_of: Opener
) -> None:
    enrolment, worker = gallery_of(empty_lite), gallery_of(empty_lite)
    await enrolment.open(create=True)
    await enrolment.enrol(*person("anna", seed=1))
    await enrolment.remove("anna")
    await worker.open()
    assert await worker.names() == []
    assert await worker.version() == ""


async def test_a_part_of_a_gallery_is_none(empty_lite: MilvusServer, gallery_of: Opener) -> None:
    await gallery_of(empty_lite).open(create=True)
    drop(empty_lite, Collections.of(SPACE).references)
    with pytest.raises(DependencyUnavailable, match="nobody is enrolled yet"):
        await gallery_of(empty_lite).open()


async def test_whoever_needs_the_samples_makes_their_collection(empty_lite: MilvusServer, gallery_of: Opener) -> None:
    await gallery_of(empty_lite).open(create=True)
    drop(empty_lite, Collections.of(SPACE).samples)
    worker = gallery_of(empty_lite)
    await worker.open()
    (vector,) = vectors(1, seed=1)
    await worker.remember({"a" * 32: vector})
    assert list(await worker.recall(["a" * 32])) == ["a" * 32]


async def test_a_gallery_of_another_space_is_refused_until_one_is_wanted_beside_it(
    empty_lite: MilvusServer, gallery_of: Opener
) -> None:
    first = gallery_of(empty_lite, OTHER)
    await first.open(create=True)
    with pytest.raises(DependencyUnavailable, match="nobody is enrolled yet"):  # nor is anybody in the other one
        await gallery_of(empty_lite).open()

    await first.enrol(*person("anna", seed=1))
    refused = gallery_of(empty_lite)
    with pytest.raises(SpaceMismatch) as caught:
        await refused.open()
    for part in (SPACE.fingerprint, OTHER.fingerprint, "enrol again", "LIKENESS_EMBEDDER"):
        assert part in str(caught.value)

    await refused.open(create=True)
    assert await refused.names() == []
    assert await first.names() == ["anna"]
    await gallery_of(empty_lite).open()  # this space has a gallery now


async def test_collections_that_say_another_space_are_refused(empty_lite: MilvusServer, gallery_of: Opener) -> None:
    await gallery_of(empty_lite).open(create=True)
    client = connect(empty_lite)
    meta = Collections.of(SPACE).meta
    row = {"key": "fingerprint", meta.vector: list(NO_MEANING), "value": OTHER.fingerprint}
    client.upsert(meta.name, [row])
    client.close()
    with pytest.raises(SpaceMismatch, match=OTHER.fingerprint):
        await gallery_of(empty_lite).open()


async def test_two_processes_may_open_a_new_gallery_at_once_and_each_finds_at_once_what_the_other_enrols(
    empty: MilvusServer, gallery_of: Opener
) -> None:
    one, two = gallery_of(empty), gallery_of(empty)
    await asyncio.gather(one.open(create=True), two.open(create=True))
    for seed, (writer, reader) in enumerate([(one, two), (two, one), (one, two)]):
        identity, references = person("anna", seed)
        version = await writer.enrol(identity, references)
        (near,) = await reader.search([references[0].embedding], references=5)
        assert {each[0] for each in near.references} == {each.reference_id for each in references}
        assert await reader.version() == version


async def test_more_identities_than_one_answer_of_milvus_holds_are_all_named(
    empty_lite: MilvusServer, gallery_of: Opener
) -> None:
    gallery = gallery_of(empty_lite)
    await gallery.open(create=True)
    (identity, _) = person("anna", seed=1)
    names = sorted(f"id-{index * 7919 % 17_000:05d}" for index in range(17_000))
    rows = [identity_row(dataclasses.replace(identity, identity=name), SPACE) for name in reversed(names)]
    client = connect(empty_lite)
    Rows(client, 60).upsert(Collections.of(SPACE).identities, rows)
    client.close()
    assert await gallery.names() == names


class CutOff(RuntimeError):
    """Stands for the end of the process."""


@dataclasses.dataclass(frozen=True)
class RowsUntil(Rows):
    """Rows of a process that ends before its n-th write."""

    writes_left: list[int]

    def upsert(self, collection: Collection, rows: Sequence[Row]) -> None:
        self._write()
        super().upsert(collection, rows)

    def delete(self, collection: Collection, keys: Any) -> None:
        self._write()
        super().delete(collection, keys)

    def _write(self) -> None:
        if self.writes_left[0] == 0:
            raise CutOff
        self.writes_left[0] -= 1


async def test_an_enrolment_cut_off_anywhere_keeps_a_usable_gallery_and_is_completed_by_repeating_it(
    lite: MilvusServer, gallery_of: Opener
) -> None:
    gallery = gallery_of(lite, dataclasses.replace(SPACE, weights="enrolment cut off"))
    await gallery.open(create=True)
    client = connect(lite)
    old, new = person("anna", seed=1, count=4), person("anna", seed=2, count=3)
    cuts = 0
    while True:
        await gallery.enrol(*old)
        before = await gallery.version()
        try:
            gallery._enrol(RowsUntil(client, 20, [cuts]), *new, {})
        except CutOff:
            cuts += 1
        else:
            break
        held = {each.reference_id for each in await gallery.references("anna")}
        enrolled = (await gallery.identities(["anna"]))["anna"]
        whose = next(each for each in (old, new) if np.array_equal(each[0].centroid, enrolled.centroid))
        assert held >= {each.reference_id for each in whose[1]}
        assert await gallery.version() == before
        await gallery.enrol(*new)
        assert [each.reference_id for each in await gallery.references("anna")] == [
            each.reference_id for each in new[1]
        ]
        assert await gallery.version() != before
    client.close()
    assert cuts == 6  # looks, stale looks, references, identity, stale references, version


async def test_a_removal_cut_off_anywhere_is_completed_by_repeating_it(lite: MilvusServer, gallery_of: Opener) -> None:
    gallery = gallery_of(lite, dataclasses.replace(SPACE, weights="removal cut off"))
    await gallery.open(create=True)
    await gallery.enrol(*person("bert", seed=5))
    client = connect(lite)
    cuts = 0
    while True:
        await gallery.enrol(*person("anna", seed=1, count=4))
        before = await gallery.version()
        try:
            gallery._remove(RowsUntil(client, 20, [cuts]), "anna")
        except CutOff:
            cuts += 1
        else:
            break
        assert await gallery.remove("anna") != before
        assert await gallery.names() == ["bert"]
        assert await gallery.references("anna") == []
    client.close()
    assert cuts == 4  # looks, references, version, identity


async def test_a_mistake_of_ours_does_not_pass_for_an_outage(lite: MilvusServer, gallery_of: Opener) -> None:
    gallery = gallery_of(lite, dataclasses.replace(SPACE, weights="mistakes"))
    await gallery.open(create=True)
    collections = Collections.of(dataclasses.replace(SPACE, weights="mistakes"))
    with pytest.raises(MilvusException):
        await gallery._run(lambda rows: rows.upsert(collections.identities, [{"identity": "anna"}]))
    with pytest.raises(MilvusException):
        await gallery._run(lambda rows: list(rows.where(collections.samples, "no_such_field", ["a"], [])))
    assert await gallery.names() == []


async def test_a_gallery_that_is_gone_is_waited_for_until_it_is_there_again(
    empty: MilvusServer, gallery_of: Opener
) -> None:
    gallery = gallery_of(empty)
    await gallery.open(create=True)
    drop(empty, Collections.of(SPACE).identities)
    with pytest.raises(DependencyUnavailable, match="expected the gallery that was opened"):
        await gallery.names()
    await gallery_of(empty).open(create=True)
    assert await gallery.names() == []


def written_down(server: MilvusServer) -> set[str]:
    """Return the files of the identities that Milvus Lite has out of its memory."""
    return {file.name for file in server.folder.glob("collections/identities_*/**/*.parquet")}


async def test_what_is_enrolled_in_bulk_is_written_down_on_the_way_and_the_rest_at_the_end(
    empty_lite: MilvusServer, gallery_of: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.adapters.milvus.gallery.SETTLE_ROWS", 7)
    gallery = MilvusGallery(empty_lite.uri, "", SPACE, timeout_seconds=20)
    await gallery.open(create=True)
    written = []
    for number in range(4):  # three rows each: one of the person, and two references
        await gallery.enrol(*person(f"person-{number}", seed=number))
        written.append(written_down(empty_lite))
    assert written[0] == written[1] == set()
    assert written[2] == written[3] != set()
    await gallery.close()
    assert written_down(empty_lite) > written[3]
    again = gallery_of(empty_lite)
    await again.open()
    assert len(await again.names()) == 4


@pytest.mark.parametrize("token", ["root:wrong", "nobody:Milvus", ""])
async def test_a_wrong_token_is_refused_with_what_to_do(standalone: MilvusServer, token: str) -> None:
    gallery = MilvusGallery(standalone.uri, token, SPACE, timeout_seconds=10)
    with pytest.raises(BadInput, match="LIKENESS_MILVUS_TOKEN") as caught:
        await gallery.open()
    await gallery.close()
    assert "wrong" not in str(caught.value)


@pytest.mark.parametrize("uri", ["milvus:19530", "gallery.db", "", "http://", "http://127.0.0.1:x"])
async def test_an_address_that_is_none_is_refused_with_what_to_set(uri: str) -> None:
    gallery = MilvusGallery(uri, "", SPACE, timeout_seconds=10)
    with pytest.raises(BadInput, match="LIKENESS_MILVUS"):
        await gallery.open()
    await gallery.close()


async def test_where_nobody_listens_milvus_is_unavailable(tmp_path: Path, gallery_of: Opener) -> None:
    with pytest.raises(DependencyUnavailable) as caught:
        await gallery_of(MilvusServer.lite(tmp_path), timeout_seconds=1).open()
    assert caught.value.dependency == "milvus"


async def use_until_it_works(gallery: MilvusGallery, probe: Embedding) -> Sequence[str]:
    """Search until it works; every failure until then must be an outage, or the error comes out here."""
    async with asyncio.timeout(240):
        while True:
            try:
                (near,) = await gallery.search([probe])
                return [each.identity for each in near.identities]
            except DependencyUnavailable:
                await asyncio.sleep(0.1)


async def test_a_killed_server_is_unavailable_and_found_again_when_it_is_back(
    empty: MilvusServer, gallery_of: Opener
) -> None:
    gallery = gallery_of(empty, timeout_seconds=5)
    await gallery.open(create=True)
    identity, references = person("anna", seed=1)
    version = await gallery.enrol(identity, references)
    await asyncio.to_thread(empty.kill)
    calls = [
        lambda: gallery.search([identity.centroid]),
        lambda: gallery.names(),
        lambda: gallery.enrol(*person("bert", seed=2)),
        lambda: gallery.remember({"a" * 32: identity.centroid}),
        lambda: gallery_of(empty, timeout_seconds=1).open(),
    ]
    for call in calls:
        with pytest.raises(DependencyUnavailable):
            await call()
    coming = asyncio.create_task(use_until_it_works(gallery, identity.centroid))
    await asyncio.to_thread(empty.start)
    assert await coming == ["anna"]
    assert await gallery.version() == version
    await gallery.enrol(*person("bert", seed=2))
    assert await gallery.names() == ["anna", "bert"]


async def test_a_server_that_hangs_is_unavailable_and_used_again_when_it_goes_on(
    empty_lite: MilvusServer, gallery_of: Opener
) -> None:
    gallery = gallery_of(empty_lite, timeout_seconds=2)
    await gallery.open(create=True)
    identity, references = person("anna", seed=1)
    await gallery.enrol(identity, references)
    empty_lite.pause()
    try:
        async with asyncio.timeout(60):  # not for ever is what counts
            for _ in range(2):  # on the connection that there was, then on a new one
                with pytest.raises(DependencyUnavailable):
                    await gallery.search([identity.centroid])
            with pytest.raises(DependencyUnavailable):
                await gallery_of(empty_lite, timeout_seconds=1).open()
    finally:
        empty_lite.resume()
    assert await use_until_it_works(gallery, identity.centroid) == ["anna"]


async def test_looks_that_are_asked_for_by_every_batch_are_read_once(
    server: MilvusServer, gallery_of: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    gallery = gallery_of(server)
    await gallery.open(create=True)
    version = await gallery.enrol(*person("anna", seed=1))
    asked: list[str] = []
    query = Rows._query

    def counted(rows: Rows, collection: Collection, *arguments: Any, **options: Any) -> Sequence[Row]:
        asked.append(collection.name)
        return query(rows, collection, *arguments, **options)

    monkeypatch.setattr(Rows, "_query", counted)
    for names in (["anna"], ["anna"], ["anna", "nobody"], ["nobody"]):
        await gallery.known_looks(names, version)
    kept = Collections.of(SPACE)
    assert asked == [kept.looks.name, kept.meta.name, kept.looks.name]


async def test_people_whose_looks_are_held_are_told_beside_those_who_take_their_place(
    lite: MilvusServer, gallery_of: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("streams.adapters.milvus.held.PEOPLE", 1)
    gallery = gallery_of(lite)
    await gallery.open(create=True)
    for name in ("anna", "bert"):
        identity, references = person(name, seed=1)
        looks = {one.reference_id: Look({}, np.zeros((len(Region), VALUES), np.float32)) for one in references}
        version = await gallery.enrol(identity, references, looks)
    for names in (["anna"], ["anna", "bert"]):
        assert list((await gallery.known_looks(names, version)).of) == names
