"""How long a CUSUM should run whose values change their law on the way: what the table of run lengths says of it.

The density of where the chart stands is carried on window by window, with the same quadrature with which
``streams.core.drift.run_length`` solves for a law that stays. Where it stays, both agree.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr

from streams.core.drift.calibration import PART_OF_CALIBRATION, Calibration
from streams.core.drift.run_length import Floats, nodes
from tests.bench.drift.pool import Scores
from tests.bench.drift.streams import IDENTITY, observed

#: What is less likely than this adds nothing to a run length.
_NEGLIGIBLE = 1e-10
_NODES = 80


@dataclass(frozen=True)
class Law:
    """Of a window's value Z, taken for normal."""

    mean: float
    sd: float

    @staticmethod
    def of(scores: Scores, calibration: Calibration, each: int) -> "Law":
        """Return the law of windows of ``each`` samples that are drawn from these scores."""
        drawn = observed(0, scores)
        z = np.array([one for sample in drawn if (one := calibration.normal_score(sample)) is not None])
        weight = min(each, calibration.behind({IDENTITY: each}) / PART_OF_CALIBRATION)
        scale = math.sqrt(weight) / calibration.spread
        return Law(float(z.mean()) * scale, float(z.std()) * scale / math.sqrt(each))


def delay(before: Law, windows: int, after: Sequence[Law], *, limit: float, k: float) -> float:
    """Return after how many windows of a drift a lower CUSUM speaks, where it had not spoken before, on average.

    Args:
        before: In control.
        windows: How many of them the chart has seen when the drift begins; it began at 0.
        after: The law of each window from then on; the last one stays.
        limit: h.
        k: The allowance.

    >>> round(delay(Law(0, 1), 0, [Law(-1, 1)], limit=4.0, k=0.5), 2)  # Lucas and Crosier (1982)
    8.38
    """
    x, weights = nodes(0.0, limit, _NODES)
    held, density = 1.0, np.zeros(_NODES)
    for _ in range(windows):
        held, density = _moved(held, density, before, x, weights, k)
    started = still = held + float(weights @ density)
    lasts = 0.0
    for law in _lasting(after):
        lasts += still / started
        held, density = _moved(held, density, law, x, weights, k)
        still = held + float(weights @ density)
        if still < _NEGLIGIBLE * started:
            break
    return lasts


def _lasting(laws: Sequence[Law]) -> Iterator[Law]:
    yield from laws
    while True:
        yield laws[-1]


def _moved(held: float, density: Floats, law: Law, x: Floats, weights: Floats, k: float) -> tuple[float, Floats]:
    """Return the chance that the chart is at 0, and its density above, after one more window of a lower CUSUM."""
    drift = k + law.mean
    stays = held * ndtr(drift / law.sd) + float((weights * density) @ ndtr((drift - x) / law.sd))
    from_ = np.concatenate(([0.0], x))
    mass = np.concatenate(([held], weights * density))
    steps = (x[:, None] - from_ + drift) / law.sd
    return float(stays), np.exp(-steps * steps / 2) @ mass / (law.sd * math.sqrt(2 * math.pi))
