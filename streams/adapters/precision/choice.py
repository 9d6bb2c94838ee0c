"""Which numbers embed a face that is looked at for the first time: shorter ones, where that is asked for or pays.

Not by itself: in 32-bit floats a similarity is the same on every machine, and nothing has to be prepared. Shorter
numbers are for whoever needs more verdicts a second, and can wait for minutes once.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streams.adapters.engines.networks import FaceNetworks, FastEmbedder, Floats
from streams.adapters.engines.self_check import check_fast, known_crops
from streams.adapters.precision import bf16 as bf16_models
from streams.adapters.precision import int8 as int8_models
from streams.core.similarity import unit
from streams.errors import Unready, WeightsUnusable
from streams.events import Precision
from streams.settings import Settings
from streams.wheels import Report

#: How each is loaded; what is missing is made or measured first.
FAST: Mapping[Precision, Callable[[Settings, FaceNetworks, Report], FastEmbedder]] = {
    "bf16": bf16_models.load,
    "int8": int8_models.load,
}

#: The part of all samples that is looked at again: measured on the demonstration's mix, where more lie near a limit
#: than of a generator in good order (``python -m tests.bench.precision --samples 10000``).
LOOKED_AT_AGAIN: Mapping[Precision, float] = {"bf16": 0.07, "int8": 0.25}

#: Faces that are timed in every precision, and how often: the fastest counts.
_FACES, _ROUNDS = 16, 5


@dataclass(frozen=True)
class Choice:
    """What is used for the first look, and why."""

    precision: Precision
    why: str


def choose(exact_ms: float, fast_ms: Mapping[Precision, float]) -> Choice:
    """Choose by what a face takes in all, where some are embedded in fp32 too; on a tie what is nearer to fp32.

    Args:
        exact_ms: Milliseconds a face in fp32.
        fast_ms: Milliseconds a face in the others that this machine has.

    >>> choose(13.5, {"bf16": 7.5, "int8": 4.2})
    Choice(precision='int8', why='precision int8: a face takes 13.5 ms in fp32, 8.4 in bf16, 7.6 in int8')
    >>> choose(13.5, {"int8": 11.0}).precision
    'fp32'
    """
    total: dict[Precision, float] = {"fp32": exact_ms}
    total |= {name: ms + LOOKED_AT_AGAIN[name] * exact_ms for name, ms in fast_ms.items()}
    precision = min(total, key=lambda name: total[name])
    figures = [f"{ms:.1f}{' ms' if name == 'fp32' else ''} in {name}" for name, ms in total.items()]
    return Choice(precision, f"precision {precision}: a face takes {', '.join(figures)}")


def fast_embedder(settings: Settings, exact: FaceNetworks, report: Report) -> FastEmbedder | None:
    """Return what embeds a face at the first look where that is not fp32: as set, or where it is left open and pays.

    The first time it is made or measured, which takes minutes.

    Raises:
        BadInput, Unready, WeightsUnusable: If it was asked for by name and cannot be had, or computes something else.
    """
    if settings.precision == "fp32":
        return None
    faces = exact.normalised(known_crops(exact.detect))
    faces = np.resize(faces, (_FACES, *faces.shape[1:]))
    if settings.precision != "auto":
        fast = _checked(settings.precision, settings, exact, faces, report)
        report(f"precision {fast.precision}, as set: what its error could change is looked at again in fp32")
        return fast
    every = _possible(settings, exact, faces, report)
    exact_ms, *fast_ms = _milliseconds([exact.embed, *(fast.embed for fast in every)], faces)
    choice = choose(exact_ms, {fast.precision: ms for fast, ms in zip(every, fast_ms, strict=True)})
    report(choice.why)
    return next((fast for fast in every if fast.precision == choice.precision), None)


def _possible(settings: Settings, exact: FaceNetworks, faces: Floats, report: Report) -> list[FastEmbedder]:
    """Return those that this machine can run; why not, of the others, is told."""
    possible = []
    for precision in FAST:
        try:
            possible.append(_checked(precision, settings, exact, faces, report))
        except (Unready, WeightsUnusable) as error:
            report(f"not {precision}: {error}")
    return possible


def _checked(
    precision: Precision, settings: Settings, exact: FaceNetworks, faces: Floats, report: Report
) -> FastEmbedder:
    """Return the embedder, which computes what it should."""
    fast = FAST[precision](settings, exact, report)
    check_fast(precision, _units(exact.embed(faces)), _units(fast.embed(faces)[0]), fast.least_cosine)
    return fast


def _units(embeddings: Floats) -> list[Floats]:
    return [unit(one) for one in embeddings]


def _milliseconds(embedders: Sequence[Callable[[Floats], object]], faces: Floats) -> list[float]:
    """Return what a face takes in a batch of each: in turns, so that other programs disturb all alike; the fastest."""
    spent = []
    for _ in range(_ROUNDS):
        for embed in embedders:
            started = time.perf_counter()
            embed(faces)
            spent.append(time.perf_counter() - started)
    return [min(spent[place :: len(embedders)]) * 1000 / len(faces) for place in range(len(embedders))]
