"""What recognising copies costs a sample: ``python -m tests.bench.copies_cost`` prints milliseconds as JSON.

A batch of 16, Milvus Lite's server beside, one compute thread; the fastest of the rounds counts, as the machine may
have other things to do.
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

from streams.adapters.copy_hash import HASH
from streams.adapters.decode import encode_png
from streams.adapters.milvus_originals import MilvusOriginals
from streams.core.copies import Imprints, Original
from streams.core.faces import Sighting
from streams.settings import Settings
from streams.testing.milvus_server import MilvusServer
from tests.bench.copies import BATCH, FIRST_PERSON, Studio

ROUNDS = 20
#: Originals that are registered, with four imprints each.
SIZES = (0, 100, 1_000, 5_000)


def random_originals(start: int, stop: int) -> list[Original]:
    """Return originals whose bits are drawn: how near they are does not matter to who counts milliseconds."""
    drawn = np.random.default_rng(start).integers(0, 2, (stop - start, 4, HASH.dimension)).astype(np.float32)
    return [
        Original(f"{number:032x}", "training", "", f"{number:064x}", tuple(imprints))
        for number, imprints in zip(range(start, stop), drawn, strict=True)
    ]


async def fastest(work: Callable[[], Awaitable[object]]) -> float:
    """Return a sample's share of the fastest batch, in milliseconds."""
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        await work()
        taken.append(time.perf_counter() - began)
    return round(min(taken) * 1000 / BATCH, 2)


async def search(originals: MilvusOriginals, probes: list[Imprints]) -> dict[str, dict[str, float]]:
    """Return what the two questions to Milvus cost, by how many originals it holds."""
    table, held = {}, 0
    for size in SIZES:
        for start in range(held, size, 500):
            await originals.register(random_originals(start, min(start + 500, size)))
        held = size
        table[f"{size} originals"] = {
            "are there any": await fastest(originals.about),
            "search": await fastest(lambda: originals.nearest(probes)) if size else 0.0,
        }
    return table


async def engine(studio: Studio, pictures: list[bytes]) -> tuple[dict[str, float], list[Imprints]]:
    """Return what the engine costs with views and without, and what imprints cost; and the imprints."""
    seen = [one for one in studio.engine.examine(pictures) if isinstance(one, Sighting)]

    async def imprint() -> None:
        studio.engine.imprint(seen)

    async def examine() -> None:
        studio.engine.examine(pictures)

    costs = {"examine, with views": await fastest(examine), "imprint": await fastest(imprint)}
    return costs, studio.engine.imprint(seen)


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
            found = await search(originals, probes)
        finally:
            await originals.close()
            server.stop()
    return {"milliseconds a sample": costs | found}


def main() -> None:
    """Measure and print."""
    argparse.ArgumentParser(description=__doc__).parse_args()
    json.dump(asyncio.run(measure(Settings(threads=1))), sys.stdout, indent=2)
    print()


if __name__ == "__main__":
    main()
