"""The networks alone: engines, precisions and batch sizes against the machine's arithmetic peak, in one run."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np

from streams.adapters.engines import onnx_models
from streams.adapters.engines.networks import FaceNetworks
from streams.adapters.facenet.crops import SIDE
from streams.settings import Settings
from streams.wheels import Report
from tests.bench.arithmetic import OPERATIONS, multiply_adds
from tests.bench.configurations import Configuration, networks
from tests.bench.peak import peaks_of, probes
from tests.bench.turns import Work, in_turns, repeated


async def engines(
    settings: Settings, configurations: Sequence[Configuration], *, rounds: int, batches: Sequence[int], report: Report
) -> dict[str, Any]:
    """Embed faces in every configuration and batch size, in turns with the probes of the peak.

    Raises:
        Unready: If none of the configurations can be had here.
    """
    # What embeds in fewer bits is the same whichever engine finds the faces.
    different = {one.precision if one.precision != "fp32" else one.name: one for one in reversed(configurations)}
    there, missing = networks(settings, list(different.values())[::-1], report)
    tried = probes(settings.threads)
    works: dict[str, Work] = {one.name: repeated(one.run, one.operations) for one in tried}
    for one, loaded in there.items():
        works |= {_name(one, batch): repeated(_embedding(loaded, batch), batch) for batch in batches}
    report(f"{len(works)} things in turns, {rounds} rounds")
    measured = await in_turns(works, rounds)
    peaks = peaks_of(tried, measured)
    a_face = OPERATIONS * multiply_adds(onnx_models.ensure(settings) / onnx_models.EMBED, (1, 3, SIDE, SIDE))
    rows = {one.name: _rows(one, batches, measured, peaks, a_face) for one in there}
    return {
        "unit": "faces/s",
        "rounds": rounds,
        "threads": settings.threads,
        "gflop_a_face": round(a_face / 1e9, 3),
        "peak_gflops": peaks,
        "configurations": rows,
        "missing": missing,
    }


def _embedding(loaded: FaceNetworks, batch: int) -> Callable[[], object]:
    drawn = np.random.default_rng(batch).integers(0, 256, (batch, SIDE, SIDE, 3), dtype=np.uint8)
    embed = loaded.embed if loaded.fast is None else loaded.fast.embed
    return partial(embed, loaded.normalised(drawn))


def _rows(
    one: Configuration,
    batches: Sequence[int],
    measured: Mapping[str, Mapping[str, Any]],
    peaks: Mapping[str, Mapping[str, Any]],
    a_face: float,
) -> dict[str, Any]:
    by_batch = {str(batch): measured[_name(one, batch)] for batch in batches}
    best = max(by_batch.values(), key=lambda row: float(row["per_core_second"]))
    limit, of_a_core = (peaks[one.precision][unit] * 1e9 / a_face for unit in ("gflops", "gflops_of_a_core"))
    return {
        "limit": round(limit, 1),
        "limit_share": round(best["median"] / limit, 3),
        "core_limit_share": round(best["per_core_second"] / of_a_core, 3),
        "core_ms": round(1000 / best["per_core_second"], 2),
        "batches": by_batch,
    }


def _name(one: Configuration, batch: int) -> str:
    return f"{one.name}, batch {batch}"
