"""What a search costs as galleries grow: Milvus Lite and, where it starts, a Milvus standalone, side by side."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from typing import Any

import numpy as np

from streams.adapters.milvus.gallery import MilvusGallery
from streams.adapters.milvus.opening import settle
from streams.adapters.milvus.rows import Rows
from streams.adapters.milvus.schema import Collections, identity_row, reference_row
from streams.core.faces import Embedding, EmbeddingSpace
from streams.core.gallery import Identity, Origin, Reference, reference_id
from streams.core.similarity import centroid, concentration, unit
from streams.errors import BadInput, DependencyUnavailable, PartFailed, Unready
from streams.settings import Settings
from streams.testing.milvus_server import MilvusServer
from streams.wheels import Report
from tests.bench.stage import BATCH
from tests.bench.turns import Work, in_turns

SIZES = (1_000, 10_000, 100_000)
#: References of each person, and how far they wander from the person's own direction.
A_PERSON, WANDERING = 10, 0.5
DIMENSION = 128
#: Searches in a round; each is of one batch.
SEARCHES = 5

#: People who are written at a time.
PEOPLE = 500

SERVERS = LITE, STANDALONE = ("Milvus Lite", "Milvus standalone")


async def references(
    settings: Settings,
    *,
    rounds: int,
    sizes: Sequence[int] = SIZES,
    servers: Sequence[str] = (LITE, STANDALONE),
    report: Report,
) -> dict[str, Any]:
    """Search galleries of each size on each server, a batch at a time, in turns."""
    missing: dict[str, str] = {}
    works: dict[str, Work] = {}
    async with AsyncExitStack() as stack:
        for server in servers:
            try:
                running = await stack.enter_async_context(_serving(server, settings))
            except (BadInput, DependencyUnavailable, PartFailed, Unready) as error:
                missing[server] = str(error)
                continue
            for size in sizes:
                report(f"{server}: writing {size:,} references")
                gallery = await stack.enter_async_context(_filled(running, size, settings))
                probes = list(_directions(BATCH, seed=size))
                works[f"{server}, {size}"] = partial(_searching, gallery, probes)
        measured = await in_turns(works, rounds)
    return {
        "unit": "ms a sample, searched in batches",
        "rounds": rounds,
        "batch_size": BATCH,
        "references_a_person": A_PERSON,
        "servers": {
            server: {
                str(size): {
                    "ms": round(1000 / measured[name]["median"], 3),
                    "others_cores": measured[name]["others_cores"],
                }
                for size in sizes
                if (name := f"{server}, {size}") in measured
            }
            for server in servers
            if server not in missing
        },
        "missing": missing,
    }


@asynccontextmanager
async def _serving(server: str, settings: Settings) -> AsyncIterator[MilvusServer]:
    """Run a server of our own."""
    folder = settings.data_dir / server.replace(" ", "-").lower()
    folder.mkdir(parents=True)
    if server == LITE:
        one = MilvusServer.lite(folder)
    else:
        one = await asyncio.to_thread(MilvusServer.standalone, folder, settings.cache_dir)
    try:
        await asyncio.to_thread(one.start)
        yield one
    finally:
        await asyncio.to_thread(one.stop)


@asynccontextmanager
async def _filled(server: MilvusServer, size: int, settings: Settings) -> AsyncIterator[MilvusGallery]:
    """Open a gallery of its own, with so many references of people in it."""
    space = EmbeddingSpace("bench", f"{size:064x}", DIMENSION, "none", "none", "none")
    gallery = MilvusGallery(server.uri, server.token, space, settings.call_timeout_seconds)
    try:
        await gallery.open(create=True)
        await gallery._run(partial(_write, space=space, size=size))
        yield gallery
    finally:
        await gallery.close()


def _write(rows: Rows, *, space: EmbeddingSpace, size: int) -> None:
    """Write people in bulk: enrolling one after the other would take an hour, and leave the same rows."""
    kept = Collections.of(space)
    pending: list[tuple[Identity, list[Reference]]] = []
    for number, direction in enumerate(_directions(size // A_PERSON, seed=size)):
        pending.append(_person(f"person-{number:06d}", direction, number))
        if len(pending) == PEOPLE or number == size // A_PERSON - 1:
            rows.upsert(kept.references, [reference_row(one, space) for _, some in pending for one in some])
            rows.upsert(kept.identities, [identity_row(person, space) for person, _ in pending])
            pending.clear()
    settle(rows, kept.identities, kept.references)


def _person(name: str, direction: Embedding, seed: int) -> tuple[Identity, list[Reference]]:
    noise = np.random.default_rng([1, seed]).normal(scale=WANDERING / DIMENSION**0.5, size=(A_PERSON, DIMENSION))
    vectors = [unit(one) for one in (direction + noise).astype(np.float32)]
    shas = [f"{seed * A_PERSON + place:064x}" for place in range(A_PERSON)]
    some = [
        Reference(reference_id(name, sha), name, Origin.SYNTHETIC, sha, vector)
        for sha, vector in zip(shas, vectors, strict=True)
    ]
    return Identity(name, Origin.SYNTHETIC, centroid(vectors), A_PERSON, concentration(vectors)), some


def _directions(count: int, seed: int) -> list[Embedding]:
    drawn = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return [unit(one) for one in drawn]


async def _searching(gallery: MilvusGallery, probes: Sequence[Embedding]) -> tuple[float, float]:
    began = time.perf_counter()
    for _ in range(SEARCHES):
        await gallery.search(probes)
    return SEARCHES * len(probes), time.perf_counter() - began
