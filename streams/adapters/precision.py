"""Which numbers embed a face that is looked at for the first time: 8-bit integers, where that is asked for or pays."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.adapters import int8_models
from streams.adapters.face_networks import FaceNetworks, FastEmbedder
from streams.adapters.self_check import check_fast, known_crops
from streams.core.similarity import unit
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report

Floats = npt.NDArray[np.float32]

#: The part of all samples that is expected to be looked at again: measured on the demonstration's mix, where more lie
#: near a limit than of a generator in good order (``python -m tests.bench.precision``).
LOOKED_AT_AGAIN = 0.4

#: Faces that are timed in both precisions, and how often: the fastest counts.
_FACES, _ROUNDS = 16, 3


@dataclass(frozen=True)
class Choice:
    """What is used for the first look, and why."""

    fast: bool
    why: str


def choose(exact_ms: float, fast_ms: float, again: float = LOOKED_AT_AGAIN) -> Choice:
    """Choose by what a face takes, where ``again`` of all faces are embedded in both precisions.

    >>> choose(exact_ms=13.5, fast_ms=4.2, again=0.4)
    Choice(fast=True, why='precision int8: 4.2 ms a face and 13.5 ms more for 40 % of them, in fp32 13.5 ms for all')
    >>> choose(exact_ms=13.5, fast_ms=9.0, again=0.4).fast
    False
    """
    fast = fast_ms + again * exact_ms < exact_ms
    figures = f"{fast_ms:.1f} ms a face and {exact_ms:.1f} ms more for {again * 100:.0f} % of them"
    return Choice(fast, f"precision {'int8' if fast else 'fp32'}: {figures}, in fp32 {exact_ms:.1f} ms for all")


def fast_embedder(settings: Settings, exact: FaceNetworks, report: Report) -> FastEmbedder | None:
    """Return the embedder in 8-bit integers where the settings ask for it, or leave it open and it pays.

    The first time it is made, which takes minutes.

    Raises:
        BadInput, Unready, WeightsUnusable: If it was asked for by name and cannot be had, or computes something else.
    """
    if settings.precision == "fp32":
        return None
    try:
        fast, faces = _checked(settings, exact, report)
    except (BadInput, Unready, WeightsUnusable) as error:
        if settings.precision == "int8":
            raise
        report(f"precision fp32: {error}")
        return None
    if settings.precision == "int8":
        report("precision int8, as set: what its error could change is looked at again in fp32")
        return fast
    choice = choose(_milliseconds(lambda: exact.embed(faces)), _milliseconds(lambda: fast.embed(faces)))
    report(choice.why)
    return fast if choice.fast else None


def _checked(settings: Settings, exact: FaceNetworks, report: Report) -> tuple[FastEmbedder, Floats]:
    """Return the embedder, which computes what it should, and the known faces as it takes them."""
    if settings.engine != "onnxruntime":
        raise BadInput(
            f"expected LIKENESS_ENGINE=onnxruntime with LIKENESS_PRECISION={settings.precision}, got {settings.engine},"
            " which has no embedder in 8-bit integers; set one of the two otherwise"
        )
    made = int8_models.ensure(settings, exact, report)
    embed = int8_models.load(made.file, settings)
    faces = exact.normalised(known_crops(exact.detect))
    faces = np.resize(faces, (_FACES, *faces.shape[1:]))
    check_fast([unit(one) for one in exact.embed(faces)], [unit(one) for one in embed(faces)[0]], made.least_cosine)
    return FastEmbedder(embed, made.scaled_error), faces


def _milliseconds(embed: Callable[[], object]) -> float:
    """Return what a face takes in a batch, in the fastest of some rounds."""
    rounds = []
    for _ in range(_ROUNDS):
        started = time.perf_counter()
        embed()
        rounds.append(time.perf_counter() - started)
    return min(rounds) * 1000 / _FACES
