"""A gallery and originals on a Milvus that others have used."""

import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from streams.adapters.milvus.gallery import MilvusGallery
from streams.adapters.milvus.originals import MilvusOriginals
from streams.core.imprints import Descriptor
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


@asynccontextmanager
async def originals_on(server: MilvusServer, descriptor: Descriptor) -> AsyncIterator[MilvusOriginals]:
    """Yield the server's originals by this descriptor: none, of one that nobody has used yet."""
    originals = MilvusOriginals(server.uri, server.token, descriptor, timeout_seconds=20)
    await originals.open()
    try:
        yield originals
    finally:
        await originals.close()


def unused(descriptor: Descriptor) -> Descriptor:
    """Return another descriptor of the same kind, and with it a collection of its own."""
    return replace(descriptor, views=uuid.uuid4().hex)
