"""The verdict on a clip: accepted where every frame is, and none lies apart from the rest."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from streams.core.clips.frames import Floats, Frame, in_order, missing, stretches
from streams.core.clips.identity import drift, of_one_person, steps, to_the_rest
from streams.core.clips.motion import MOVING, Movement, changes_of, movement
from streams.core.explain.look import Measure
from streams.events import Decision

#: So many of the worst frames are named.
NAMED = 5


@dataclass(frozen=True)
class WorstFrame:
    """A frame to look at first."""

    index: int
    sample_id: str
    similarity: float | None
    """To the asked identity."""
    to_the_rest: float | None
    """To the middle of the clip."""


@dataclass(frozen=True)
class ClipVerdict:
    """What is said of a clip. The same frames give the same, in whatever order and however often they come."""

    decision: Decision
    reasons: tuple[str, ...]
    """In words; empty exactly when accepted."""
    frames: int
    flagged: int
    """Frames that are flagged by themselves."""
    missing: tuple[tuple[int, int], ...]
    """Stretches of frames that are not there: the first and the last of each."""
    apart: tuple[tuple[int, int], ...]
    """Stretches of frames that lie apart from the rest: the first and the last of each."""
    lowest: float | None
    mean: float | None
    """Similarity to the asked identity."""
    drift: float | None
    """By how much it changes from the first frame to the last."""
    flicker: float | None
    """Median of 1 - cosine from one frame's embedding to the next."""
    flicker_most: float | None
    brightness_flicker: float | None
    """Median change of log2 brightness from one frame to the next."""
    brightness_flicker_most: float | None
    movement: Mapping[Measure, Movement]
    worst: tuple[WorstFrame, ...]
    """The worst frames, the worst first."""


def judge_clip(frames: Iterable[Frame], of: int | None = None) -> ClipVerdict:
    """Judge the frames of one clip together.

    Args:
        frames: In any order.
        of: How many the clip should have, the first one of index 0; None: nobody said.

    Raises:
        ValueError: If there is none.
    """
    ordered = in_order(frames)
    if not ordered:
        raise ValueError("expected at least one frame, got none")
    person = of_one_person(ordered)
    rest = to_the_rest(ordered, person)
    lying = [index for index in rest if index not in person]
    flagged = [frame.index for frame in ordered if frame.decision is Decision.FLAGGED]
    reasons = tuple(_reasons(len(ordered), flagged, lying, rest))
    known = [frame.similarity for frame in ordered if frame.similarity is not None]
    moves, lights = steps(ordered), changes_of(ordered, Measure.BRIGHTNESS)
    return ClipVerdict(
        decision=Decision.FLAGGED if reasons else Decision.ACCEPTED,
        reasons=reasons,
        frames=len(ordered),
        flagged=len(flagged),
        missing=missing(ordered, of),
        apart=stretches(lying),
        lowest=min(known, default=None),
        mean=round(float(np.mean(known)), 4) if known else None,
        drift=drift(ordered),
        flicker=_middle(moves),
        flicker_most=_most(moves),
        brightness_flicker=_middle(lights),
        brightness_flicker_most=_most(lights),
        movement={one: moved for one in MOVING if (moved := movement(ordered, one)) is not None},
        worst=_worst(ordered, rest, set(lying) | set(flagged)),
    )


def _reasons(frames: int, flagged: Sequence[int], lying: Sequence[int], rest: Mapping[int, float]) -> Iterable[str]:
    for first, last in stretches(lying):
        here = float(np.median([rest[index] for index in lying if first <= index <= last]))
        there = float(np.median([value for index, value in rest.items() if index not in lying]))
        yield f"{_named(first, last)} from the rest of the clip: similarity {here:.4f} to it, elsewhere {there:.4f}"
    if flagged:
        yield f"{len(flagged)} of {frames} frames {'is' if len(flagged) == 1 else 'are'} flagged"


def _named(first: int, last: int) -> str:
    return f"frame {first} lies apart" if first == last else f"frames {first} to {last} lie apart"


def _worst(frames: Sequence[Frame], rest: Mapping[int, float], named: set[int]) -> tuple[WorstFrame, ...]:
    """Return those that gave a reason first, then by similarity to the asked identity; without one is worst."""
    chosen = sorted(
        frames,
        key=lambda one: (one.index not in named, -2.0 if one.similarity is None else one.similarity, one.index),
    )
    return tuple(WorstFrame(one.index, one.sample_id, one.similarity, rest.get(one.index)) for one in chosen[:NAMED])


def _middle(values: Floats) -> float | None:
    return round(float(np.median(values)), 4) if len(values) else None


def _most(values: Floats) -> float | None:
    return round(float(values.max()), 4) if len(values) else None
