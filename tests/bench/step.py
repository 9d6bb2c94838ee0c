"""The whole step, from an encoded image to a verdict, in this process: against its arithmetic, and against deepface."""

import time
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from streams.adapters.engines import onnx_models
from streams.adapters.facenet.crops import SIDE
from streams.adapters.images.decode import decode_here
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.ports import Services
from streams.settings import Settings
from streams.wheels import Report
from tests.bench import peer
from tests.bench.arithmetic import OPERATIONS, Detection, detection, multiply_adds
from tests.bench.configurations import Configuration, nothing
from tests.bench.judges import judges
from tests.bench.peak import peaks_of, probes
from tests.bench.stage import BATCH, IDENTITIES, TOGETHER, Sample, Seen, judged, opened, peopled, samples
from tests.bench.turns import Work, in_turns, repeated

#: Of the samples so many are judged one by one in a round, and seen one by one by deepface.
ALONE, PEER_ALONE = 16, 8


async def step(
    settings: Settings, configurations: Sequence[Configuration], *, rounds: int, report: Report
) -> dict[str, Any]:
    """Judge the same samples in every configuration, in turns with deepface and with the probes of the peak.

    Raises:
        Unready: If none of the configurations can be had here.
    """
    missing: dict[str, str] = {}
    tried = probes(settings.threads)
    works: dict[str, Work] = {one.name: repeated(one.run, one.operations) for one in tried}
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(peopled(settings, IDENTITIES, report))
        drawn = await samples(services, TOGETHER)
        there: dict[Configuration, Seen] = {}
        for one in configurations:
            try:
                ready = replace(services, examiner=await opened(one.on(settings), stack, report))
            except BadInput:
                continue  # no such pair
            except (Unready, WeightsUnusable) as error:
                missing[one.name] = str(error)
                continue
            there[one] = await judged(ready, drawn)
            works[f"{one.name}, in batches"] = _judging(ready, drawn, BATCH)
            works[f"{one.name}, one by one"] = _judging(ready, drawn[:ALONE], 1)
        if not there:
            raise nothing(missing)
        team = await stack.enter_async_context(judges(settings, report))
        for one in there:
            works[f"{one.name}, a process a core"] = partial(team.judge, one.engine, one.precision)
        images = [each for each in decode_here(encoded for _, encoded in drawn) if isinstance(each, np.ndarray)]
        for engine in peer.ENGINES:
            try:
                running, many = [
                    await stack.enter_async_context(peer.running(engine, settings, images, report, processes=processes))
                    for processes in (1, settings.threads)
                ]
            except (Unready, WeightsUnusable) as error:
                missing[f"deepface on {engine}"] = str(error)
                continue
            works[f"deepface on {engine}, in lists"] = partial(running.represent, "list", peer.LIST)
            works[f"deepface on {engine}, in lists, a process a core"] = partial(many.represent, "list", peer.LIST)
            works[f"deepface on {engine}, one by one"] = partial(running.represent, "one", PEER_ALONE)
        report(f"{len(works)} things in turns, {rounds} rounds")
        measured = await in_turns(works, rounds)
    peaks = peaks_of(tried, measured)
    folder = onnx_models.ensure(settings)
    found = detection(images, folder, rounds)
    face = OPERATIONS * multiply_adds(folder / onnx_models.EMBED, (1, 3, SIDE, SIDE))
    rows = {one.name: _row(one, seen, measured, _limits(one, seen, found, peaks, face)) for one, seen in there.items()}
    best = max(rows, key=lambda name: float(rows[name]["a_process_a_core"]["median"]))
    return {
        "unit": "samples/s",
        "rounds": rounds,
        "threads": settings.threads,
        "batch_size": BATCH,
        "samples": len(drawn),
        "peak_gflops": peaks,
        "detection": {
            "mflop_a_sample": round(found.operations / len(images) / 1e6, 1),
            "core_ms_a_sample": round(1000 * found.seconds / len(images), 2),
            "in_its_networks": round(found.network_seconds / found.seconds, 3),
        },
        "configurations": rows,
        "best": best,
        "deepface": {
            engine: {
                "in_lists": measured[f"deepface on {engine}, in lists"],
                "a_process_a_core": measured[f"deepface on {engine}, in lists, a process a core"],
                "one_by_one": measured[f"deepface on {engine}, one by one"],
            }
            for engine in peer.ENGINES
            if f"deepface on {engine}" not in missing
        },
        "missing": missing,
    }


def _judging(services: Services, drawn: Sequence[Sample], size: int) -> Work:
    async def work() -> tuple[float, float]:
        began = time.perf_counter()
        for start in range(0, len(drawn), size):
            await judged(services, drawn[start : start + size])
        return len(drawn), time.perf_counter() - began

    return work


def _limits(
    one: Configuration, seen: Seen, found: Detection, peaks: Mapping[str, Mapping[str, Any]], face: int
) -> tuple[float, float]:
    """Return the samples a second if nothing took time but products, at the peak of their precision; and of a core."""
    limits = []
    for unit in ("gflops", "gflops_of_a_core"):
        exact, first = (peaks[name][unit] * 1e9 for name in ("fp32", one.precision))
        limits.append(TOGETHER / ((found.operations + face * seen.again) / exact + face * seen.faces / first))
    return limits[0], limits[1]


def _row(
    one: Configuration, seen: Seen, measured: Mapping[str, Mapping[str, Any]], limits: tuple[float, float]
) -> dict[str, Any]:
    apart = measured[f"{one.name}, a process a core"]
    limit, of_a_core = limits
    return {
        "a_process_a_core": apart,
        "in_batches": measured[f"{one.name}, in batches"],
        "one_by_one": measured[f"{one.name}, one by one"],
        "limit": round(limit, 1),
        "limit_share": round(apart["median"] / limit, 3),
        "core_limit_share": round(apart["per_core_second"] / of_a_core, 3),
        "faces": seen.faces,
        "looked_at_again": round(seen.again / max(1, seen.faces), 3),
    }
