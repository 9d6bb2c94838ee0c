"""The originals on Milvus Lite's server keep every promise of originals, and each descriptor has its own."""

import logging
from collections.abc import AsyncIterator

import numpy as np
import pytest

from streams.adapters.milvus.originals import MilvusOriginals
from streams.core.imprints import Original
from streams.ports import Originals
from streams.testing.milvus_server import MilvusServer
from tests.promises.milvus import originals_on, unused
from tests.promises.originals import *  # noqa: F403 - the tests
from tests.promises.originals import DESCRIPTOR, NETWORK, bits, original


@pytest.fixture
async def originals(lite: MilvusServer) -> AsyncIterator[Originals]:
    async with originals_on(lite, unused(DESCRIPTOR)) as originals:
        yield originals


@pytest.fixture
async def by_network(lite: MilvusServer) -> AsyncIterator[MilvusOriginals]:
    async with originals_on(lite, unused(NETWORK)) as originals:
        yield originals


async def test_imprints_of_a_network_are_compared_by_cosine(by_network: MilvusOriginals):
    near, far = np.eye(4, dtype=np.float32)[:2]
    await by_network.register([Original("one", "photo", "anna", "ab" * 32, (near, far))])

    [[seen]] = await by_network.nearest([((0.6 * near - 0.8 * far).astype(np.float32),)])

    assert (seen.similarity, seen.mirrored, seen.bits) == (0.6, False, None)


async def test_descriptors_share_nothing(originals: MilvusOriginals, by_network: MilvusOriginals):
    await originals.register([original("one", bits(1))])

    assert await by_network.count() == 0
    assert await by_network.known(["one"]) == set()


async def test_whoever_changes_the_descriptor_is_told_what_is_left_behind(
    lite: MilvusServer, originals: MilvusOriginals, caplog: pytest.LogCaptureFixture
):
    await originals.register([original("one", bits(1))])
    caplog.clear()
    async with originals_on(lite, unused(NETWORK)):
        pass

    told = [one.getMessage() for one in caplog.records if one.levelno == logging.WARNING]
    assert told
    assert all("`likeness index-training`" in one for one in told)


async def test_who_compares_sees_at_once_that_somebody_else_has_registered_the_first(lite: MilvusServer):
    descriptor = unused(DESCRIPTOR)
    async with originals_on(lite, descriptor) as worker, originals_on(lite, descriptor) as indexing:
        assert await worker.about() == 0
        await indexing.register([original("one", bits(1))])
        assert await worker.about() == 1


async def test_what_was_registered_is_there_after_a_restart_of_the_client(lite: MilvusServer):
    descriptor = unused(DESCRIPTOR)
    async with originals_on(lite, descriptor) as originals:
        await originals.register([original("one", bits(1), bits(2))])
    async with originals_on(lite, descriptor) as again:
        [[near]] = await again.nearest([(bits(2),)])

    assert (near.original_id, near.bits, near.mirrored) == ("one", 0, True)
