"""How a clip's movement compares with the same person's earlier clips by the same model: told, never decided by."""

from collections.abc import Mapping, Sequence

import numpy as np

from streams.events import ClipJudged, ClipMovement

#: Fewer earlier clips than this do not say what is usual.
FEWEST = 5
#: So many of the latest ones are compared with.
MOST = 20
#: Median absolute deviations in a standard deviation of a normal distribution (Rousseeuw and Croux, 1993).
_PER_DEVIATION = 1.4826
_PLAIN = {"spread_z": None, "step_z": None}

Movements = Mapping[str, ClipMovement]


def compared(movement: Movements, earlier: Sequence[Movements]) -> dict[str, ClipMovement]:
    """Return the movement with how unusual it is, by measure."""
    return {name: _compared(moved, [one[name] for one in earlier if name in one]) for name, moved in movement.items()}


def robust_z(value: float, others: Sequence[float]) -> float | None:
    """Return by how many robust standard deviations ``value`` lies above the median of ``others``.

    That is 1.4826 median absolute deviations. None of fewer than ``FEWEST`` others, and of others that do not differ.

    >>> robust_z(7.0, [1.0, 2.0, 3.0, 4.0, 5.0])
    2.7
    """
    if len(others) < FEWEST:
        return None
    middle = float(np.median(others))
    deviation = _PER_DEVIATION * float(np.median(np.abs(np.asarray(others) - middle)))
    return round((value - middle) / deviation, 2) if deviation > 0 else None


def is_news_to_later(before: ClipJudged | None, told: ClipJudged) -> bool:
    """Say whether clips that came later compare with something else now; what this one is compared with is nothing."""
    return before is None or _said_to_later(before) != _said_to_later(told)


def _said_to_later(said: ClipJudged) -> object:
    return said.last_judged_at, {name: moved.model_copy(update=_PLAIN) for name, moved in said.movement.items()}


def _compared(moved: ClipMovement, others: Sequence[ClipMovement]) -> ClipMovement:
    spread_z = robust_z(moved.spread, [one.spread for one in others])
    step_z = robust_z(moved.step, [one.step for one in others])
    return moved.model_copy(update={"spread_z": spread_z, "step_z": step_z})
