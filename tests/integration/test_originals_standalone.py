"""The originals on a real Milvus keep the promises that hang on the server: what is near, written, deleted."""

from collections.abc import AsyncIterator

import pytest

from streams.ports import Originals
from streams.testing.milvus_server import MilvusServer
from tests.promises.milvus import originals_on, unused
from tests.promises.originals import (  # noqa: F401 - the tests
    DESCRIPTOR,
    test_among_five_hundred_the_nearest_is_found_as_by_looking_at_each,
    test_each_original_is_told_once_at_its_nearest_imprint,
    test_registering_again_changes_nothing_and_replaces_what_is_there,
    test_the_distance_is_the_number_of_bits_that_differ,
    test_what_is_registered_is_known_counted_and_held_by_identity,
    test_what_is_removed_is_gone_whole,
)


@pytest.fixture
async def originals(standalone: MilvusServer) -> AsyncIterator[Originals]:
    async with originals_on(standalone, unused(DESCRIPTOR)) as originals:
        yield originals
