"""The gallery on a real Milvus keeps the promises that hang on the server: what is near, written, replaced, deleted."""

from collections.abc import AsyncIterator

import pytest

from streams.ports import Gallery
from streams.testing.milvus_server import MilvusServer
from tests.promises.gallery import (  # noqa: F401 - the tests
    test_a_removed_identity_leaves_nothing_behind,
    test_a_search_equals_brute_force_on_six_hundred_random_vectors,
    test_a_search_of_an_empty_gallery_finds_nobody,
    test_all_references_come_back_when_there_are_thousands,
    test_enrolling_again_replaces_the_old_references,
    test_remembered_samples_come_back_exactly_and_remembering_again_changes_nothing,
    test_what_was_enrolled_comes_back_exactly,
)
from tests.promises.milvus import emptied


@pytest.fixture
async def gallery(standalone: MilvusServer) -> AsyncIterator[Gallery]:
    async with emptied(standalone) as gallery:
        yield gallery
