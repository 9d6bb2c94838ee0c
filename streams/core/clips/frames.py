"""What is known of each frame of a clip. In which order frames come does not matter, nor whether one comes twice."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from streams.core.explain.look import Measure
from streams.core.faces import Embedding
from streams.events import Decision

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Frame:
    """One frame as it was judged by itself."""

    index: int
    """Its place in the clip, 0 and up."""
    sample_id: str
    decision: Decision
    similarity: float | None = None
    """To the asked identity; None where it could not be measured."""
    embedding: Embedding | None = None
    """Unit length; None where no face was seen."""
    measures: Mapping[Measure, float] = field(default_factory=dict)
    """How the face looks, as far as it could be measured."""


def in_order(frames: Iterable[Frame]) -> list[Frame]:
    """Return one frame an index, in order; of several samples with one index the one with the smallest id."""
    held: dict[int, Frame] = {}
    for frame in sorted(frames, key=lambda one: (one.index, one.sample_id)):
        held.setdefault(frame.index, frame)
    return list(held.values())


def missing(frames: Iterable[Frame], of: int | None = None) -> tuple[tuple[int, int], ...]:
    """Return the stretches of absent frames: among the first ``of``, or else between the first one and the last."""
    present = {frame.index for frame in frames}
    wanted = range(min(present, default=0), max(present, default=0)) if of is None else range(of)
    return stretches(index for index in wanted if index not in present)


def stretches(indices: Iterable[int]) -> tuple[tuple[int, int], ...]:
    """Return indices as stretches without a gap: the first and the last of each.

    >>> stretches([12, 3, 4, 5])
    ((3, 5), (12, 12))
    """
    found: list[tuple[int, int]] = []
    for index in sorted(set(indices)):
        if found and found[-1][1] == index - 1:
            found[-1] = (found[-1][0], index)
        else:
            found.append((index, index))
    return tuple(found)
