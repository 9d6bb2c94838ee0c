"""The gallery on Milvus Lite's server keeps every promise of a gallery."""

from collections.abc import AsyncIterator

import pytest

from streams.ports import Gallery
from streams.testing.milvus_server import MilvusServer
from tests.promises.gallery import *  # noqa: F403 - the tests
from tests.promises.milvus import emptied


@pytest.fixture
async def gallery(lite: MilvusServer) -> AsyncIterator[Gallery]:
    async with emptied(lite) as gallery:
        yield gallery
