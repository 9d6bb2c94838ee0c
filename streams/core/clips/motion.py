"""What moves in a clip: flicker from frame to frame, and the features of the face over time."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from streams.core.clips.frames import Floats, Frame
from streams.core.explain.look import Measure

#: What moves in a face that speaks. Five landmarks know the mouth's corners and not its lips.
MOVING = (Measure.MOUTH_WIDTH, Measure.MOUTH_HEIGHT, Measure.EYE_HEIGHT)


@dataclass(frozen=True)
class Movement:
    """How one measure goes through a clip, in its own unit."""

    mean: float
    spread: float
    """Standard deviation over time."""
    step: float
    """Median change from one frame to the next."""


def movement(frames: Sequence[Frame], measure: Measure) -> Movement | None:
    """Return how a measure goes through the clip; None of fewer than two frames that have it."""
    values = np.array([frame.measures[measure] for frame in frames if measure in frame.measures], dtype=np.float64)
    if len(values) < 2:
        return None
    changes = changes_of(frames, measure)
    step = float(np.median(changes)) if len(changes) else 0.0
    return Movement(round(float(values.mean()), 4), round(float(values.std(ddof=1)), 4), round(step, 4))


def changes_of(frames: Sequence[Frame], measure: Measure) -> Floats:
    """Return by how much a measure differs from the frame before, where both follow one another; 0 and up."""
    return np.array(
        [
            abs(other.measures[measure] - one.measures[measure])
            for one, other in pairwise(frames)
            if other.index == one.index + 1 and measure in one.measures and measure in other.measures
        ]
    )
