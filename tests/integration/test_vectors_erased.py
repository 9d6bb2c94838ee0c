"""``ports.Vectors`` on a Milvus of each kind: whoever is erased is found by no search, everybody else as before."""

import asyncio

import numpy as np
import pytest

from streams.adapters.milvus.erasure import MilvusVectors
from streams.core.gallery import Identity, Origin, Reference, reference_id
from streams.core.similarity import unit
from streams.errors import DependencyUnavailable
from streams.testing.milvus_server import MilvusServer
from tests.promises.gallery import SPACE, looks_of
from tests.promises.milvus import emptied

PEOPLE = ("anna-to-erase", "annabelle", "bert-to-keep")
RANDOM = np.random.default_rng(7)


def vector() -> np.ndarray:
    return unit(RANDOM.standard_normal(SPACE.dimension).astype(np.float32))


def person(name: str) -> tuple[Identity, list[Reference]]:
    pictures = [f"{name}{number}".encode().hex().ljust(64, "0") for number in range(2)]
    references = [Reference(reference_id(name, one), name, Origin.PHOTO, one, vector()) for one in pictures]
    return Identity(name, Origin.PHOTO, references[0].embedding, 2, 1.0), references


@pytest.fixture(params=["lite", "standalone"])
def server(request: pytest.FixtureRequest) -> MilvusServer:
    found: MilvusServer = request.getfixturevalue(request.param)
    return found


async def test_whoever_is_erased_is_found_by_no_search_and_everybody_else_as_before(server: MilvusServer):
    samples = {f"{number:032x}": vector() for number in range(4)}
    mine, theirs = [f"{number:032x}" for number in (0, 1)], [f"{number:032x}" for number in (2, 3)]
    async with emptied(server) as gallery:
        enrolled = {name: person(name) for name in PEOPLE}
        for identity, references in enrolled.values():
            await gallery.enrol(identity, references, looks_of(references, seed=1))
        await gallery.remember(samples)
        version, probe = await gallery.version(), enrolled["bert-to-keep"][1][0].embedding
        [before] = await gallery.search([probe], identities=1, references=1)
        vectors = MilvusVectors(server.uri, server.token, 20)
        try:
            found = await vectors.find("anna-to-erase", mine)
            assert sum(found.counts.values()) == 7
            assert len(found.vectors) == 6  # the centroid is the first reference
            assert found.images == {one.image_sha256 for one in enrolled["anna-to-erase"][1]}
            shared = enrolled["bert-to-keep"][1][0].image_sha256
            assert await vectors.depicted([shared, *found.images], except_of="anna-to-erase") == {shared}

            for _ in range(2):  # again changes nothing
                await vectors.erase("anna-to-erase", mine)
                assert await vectors.left("anna-to-erase", mine) == {}
        finally:
            await vectors.close()

        assert await gallery.names() == ["annabelle", "bert-to-keep"]
        assert (await gallery.recall(list(samples))).keys() == set(theirs)
        assert await gallery.references("anna-to-erase") == []
        assert (await gallery.looks(PEOPLE)).keys() == {"annabelle", "bert-to-keep"}
        assert await gallery.search([probe], identities=1, references=1) == [before]
        assert await gallery.version() not in ("", version)
        await gallery.unremember(theirs)


async def test_what_workers_store_while_milvus_lite_writes_anew_is_there_afterwards(lite: MilvusServer):
    """A worker tries again what fails, as patience does."""
    stored: list[str] = []
    done = asyncio.Event()
    async with emptied(lite) as gallery:

        async def work() -> None:
            for number in range(1000):
                batch = {f"{number * 8 + place:032x}": vector() for place in range(8)}
                try:
                    await gallery.remember(batch)
                except DependencyUnavailable:
                    continue
                stored.extend(batch)
                if done.is_set():
                    return

        vectors, working = MilvusVectors(lite.uri, lite.token, 20), asyncio.create_task(work())
        try:
            await vectors.erase("nobody", [])
        finally:
            done.set()
            await working
            await vectors.close()

        held: set[str] = set()
        for start in range(0, len(stored), 500):
            held |= (await gallery.recall(stored[start : start + 500])).keys()
        assert held == set(stored)
        assert stored
        await gallery.unremember(stored)
