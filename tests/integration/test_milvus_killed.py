"""What Milvus Lite has taken is there after a kill, though several workers wrote at once."""

import asyncio
import threading
from pathlib import Path

import numpy as np

from streams.adapters.milvus.gallery import MilvusGallery
from streams.core.similarity import unit
from streams.testing.milvus_server import MilvusServer
from tests.promises.gallery import SPACE

#: Workers, batches of each, and samples in a batch.
WRITERS, BATCHES, EACH = 6, 40, 8


def ids(writer: int) -> list[str]:
    return [f"{writer * 100_000 + number:032x}" for number in range(BATCHES * EACH)]


async def opened(server: MilvusServer) -> MilvusGallery:
    gallery = MilvusGallery(server.uri, server.token, SPACE, timeout_seconds=30)
    await gallery.open(create=True)
    return gallery


def write(server: MilvusServer, writer: int) -> None:
    """Store samples as a worker does: in a process' own connection, batch after batch."""

    async def stored() -> None:
        gallery, draw = await opened(server), np.random.default_rng(writer)
        try:
            for start in range(0, BATCHES * EACH, EACH):
                batch = ids(writer)[start : start + EACH]
                vectors = draw.standard_normal((EACH, SPACE.dimension)).astype(np.float32)
                await gallery.remember(dict(zip(batch, map(unit, vectors), strict=True)))
        finally:
            await gallery.close()

    asyncio.run(stored())


def found(server: MilvusServer, samples: list[str]) -> set[str]:
    async def recalled() -> set[str]:
        gallery = await opened(server)
        try:
            pieces = [samples[start : start + 500] for start in range(0, len(samples), 500)]
            return {key for piece in pieces for key in await gallery.recall(piece)}
        finally:
            await gallery.close()

    return asyncio.run(recalled())


def test_what_several_workers_stored_at_once_outlives_a_kill_of_the_server(tmp_path: Path):
    server = MilvusServer.lite(tmp_path)
    server.start()
    try:
        asyncio.run(_create(server))
        writers = [threading.Thread(target=write, args=(server, number)) for number in range(WRITERS)]
        for one in writers:
            one.start()
        for one in writers:
            one.join()
        server.kill()
        server.start()
        everything = [key for writer in range(WRITERS) for key in ids(writer)]
        assert found(server, everything) == set(everything)
    finally:
        server.stop()


async def _create(server: MilvusServer) -> None:
    await (await opened(server)).close()
