"""Which numbers embed a face that is looked at for the first time: shorter ones, where that is asked for or pays.

Not by itself: in 32-bit floats a similarity is the same on every machine, and nothing has to be prepared. Shorter
numbers are for whoever needs more verdicts a second, and can wait for minutes once.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from streams.adapters import bf16_models, int8_models
from streams.adapters.face_networks import FaceNetworks, FastEmbedder, Floats
from streams.adapters.self_check import check_fast, known_crops
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

#: The part of all samples that is looked at again: measured on 10,000 of the demonstration's mix, where more lie near a
#: limit than of a generator in good order (``tests/bench/results/precision.json``).
LOOKED_AT_AGAIN: Mapping[Precision, float] = {"bf16": 0.05, "int8": 0.4}

#: Faces that are timed in every precision, and how often: the fastest counts.
_FACES, _ROUNDS = 16, 3


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
    Choice(precision='bf16', why='precision bf16: a face takes 13.5 ms in fp32, 8.2 in bf16, 9.6 in int8')
    >>> choose(13.5, {"int8": 9.0}).precision
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
    choice = choose(
        _milliseconds(exact.embed, faces), {fast.precision: _milliseconds(fast.embed, faces) for fast in every}
    )
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


def _milliseconds(embed: Callable[[Floats], object], faces: Floats) -> float:
    """Return what a face takes in a batch, in the fastest of some rounds."""
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        embed(faces)
        rounds.append(time.perf_counter() - started)
    return min(rounds) * 1000 / len(faces)
