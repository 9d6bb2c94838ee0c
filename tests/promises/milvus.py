"""A gallery on a Milvus that others have used."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streams.adapters.milvus import MilvusGallery
from streams.testing.milvus_server import MilvusServer
from tests.promises.gallery import SPACE


@asynccontextmanager
async def emptied(server: MilvusServer) -> AsyncIterator[MilvusGallery]:
    """Yield the server's gallery in ``SPACE``, with nobody in it."""
    gallery = MilvusGallery(server.uri, server.token, SPACE, timeout_seconds=20)
    await gallery.open(create=True)
    try:
        for name in await gallery.names():
            await gallery.remove(name)
        yield gallery
    finally:
        await gallery.close()
