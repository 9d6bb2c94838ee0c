"""What recognising copies costs a sample: ``python -m tests.bench.copies_cost`` prints milliseconds of CPU as JSON.

Batches of 16, one compute thread, Milvus Lite's server beside, whose time counts too. Not seconds on the clock: the
machine may have other things to do.
"""

import argparse
import asyncio
import json
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import numpy as np
import psutil

from streams.adapters.copies.hash import HASH, CopyHash
from streams.adapters.facenet.portrait import portrait
from streams.adapters.images.decode import decode_here, encode_png
from streams.adapters.milvus.originals import MilvusOriginals
from streams.core.faces import Sighting, Undecodable
from streams.core.imprints import Imprints, Original
from streams.settings import Settings
from streams.testing.milvus_server import MilvusServer
from tests.bench.copies import FIRST_PERSON, Studio
from tests.bench.stage import BATCH

ROUNDS = 5
#: Originals that are registered, with four imprints each.
SIZES = (0, 100, 1_000)


def random_originals(start: int, stop: int) -> list[Original]:
    """Return originals whose bits are drawn: how near they are does not matter to who counts milliseconds."""
    drawn = np.random.default_rng(start).integers(0, 2, (stop - start, 4, HASH.dimension)).astype(np.float32)
    return [
        Original(f"{number:032x}", "training", "", f"{number:064x}", tuple(imprints))
        for number, imprints in zip(range(start, stop), drawn, strict=True)
    ]


async def cost(work: Callable[[], Awaitable[object]], server: int | None = None) -> float:
    """Return a sample's share of a batch in milliseconds of CPU, the server's with it."""
    await work()
    began = _spent(server)
    for _ in range(ROUNDS):
        await work()
    return round((_spent(server) - began) * 1000 / ROUNDS / BATCH, 2)


def _spent(server: int | None) -> float:
    others = psutil.Process(server).cpu_times() if server else None
    return time.process_time() + (others.user + others.system if others else 0.0)


async def search(originals: MilvusOriginals, probes: list[Imprints], server: int) -> dict[str, dict[str, float]]:
    """Return what the two questions to Milvus cost, by how many originals it holds."""
    table, held = {}, 0
    for size in SIZES:
        for start in range(held, size, 500):
            await originals.register(random_originals(start, min(start + 500, size)))
        held = size
        await originals.open()  # Milvus Lite writes its memory down, as at the end of every command
        table[f"{size} originals"] = {
            "are there any": await cost(originals.about, server),
            "search": await cost(lambda: originals.nearest(probes), server) if size else 0.0,
        }
    return table


async def engine(studio: Studio, pictures: list[bytes]) -> tuple[dict[str, float], list[Imprints]]:
    """Return what the engine's own work costs, and the imprints."""
    seen = [one for one in studio.engine.examine(pictures) if isinstance(one, Sighting)]
    copies = CopyHash(lambda faces: np.zeros((len(faces), 5, 2), np.float32))
    pixels = [one for one in decode_here(pictures) if not isinstance(one, Undecodable)]
    marks = [() if one.largest is None else one.largest.landmarks for one in seen]

    async def examine() -> None:
        studio.engine.examine(pictures)

    async def views() -> None:
        for each, landmarks in zip(pixels, marks, strict=True):
            copies.views(each, portrait(each, landmarks))

    async def imprint() -> None:
        studio.engine.imprint(seen)

    costs = {
        "examine, with views": await cost(examine),
        "views alone": await cost(views),
        "imprint": await cost(imprint),
    }
    return costs, studio.engine.imprint(seen)


def _serves(process: psutil.Process, folder: str) -> bool:
    """Say whether it is the server itself that works on the folder, not whoever holds it."""
    try:
        command = process.cmdline()
    except psutil.Error:
        return False
    return any(one.startswith(folder) for one in command) and "milvus_lite" in command and not process.children()


async def measure(settings: Settings) -> dict[str, object]:
    studio = Studio(settings)
    pictures = [encode_png(one) for one in studio.drawn(range(FIRST_PERSON, FIRST_PERSON + BATCH), 0.1)]
    costs, probes = await engine(studio, pictures)
    with tempfile.TemporaryDirectory() as folder:
        server = MilvusServer.lite(Path(folder))
        await asyncio.to_thread(server.start)
        originals = MilvusOriginals(server.uri, server.token, HASH, timeout_seconds=60)
        try:
            await originals.open()
            (process,) = [one for one in psutil.process_iter() if _serves(one, folder)]
            found = await search(originals, probes, process.pid)
        finally:
            await originals.close()
            server.stop()
    return {"milliseconds of CPU a sample": costs | found}


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    json.dump(asyncio.run(measure(Settings(threads=1))), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
