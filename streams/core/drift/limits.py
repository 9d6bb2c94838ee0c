"""Limits of the charts: from how long they should run without a false alarm, and from how little is known.

The published tables hold where the law in control is known. Here it is known from m calibration scores, so every chart
has a constant error, in its own favour or against it. The limit is taken so that nine calibrations of ten run at least
as long as promised (after Gandy and Kvaloy 2013).

The mean of a window of n normal scores has that error n^0.5 times larger, in its standard deviations, than one score.
So a window weighs no more than a part of the calibration behind it, or large ones would find the calibration's error.
"""

import math
from functools import lru_cache

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from streams.core.drift.calibration import PART_OF_CALIBRATION
from streams.core.drift.mewma_run_length import mewma_arl
from streams.core.drift.run_length import Floats, cusum_arl

#: Of so many calibrations the limit holds.
CONFIDENCE = 0.9

#: Steps along both errors, by which it is seen which of them is worse.
_STEPS = np.array([[-0.1, 0.0], [0.1, 0.0], [0.0, -0.1], [0.0, 0.1]])
#: How often the worst direction is looked for; the second time changes the fourth digit.
_TURNS = 3
#: Limits lie between these, in standard deviations of a window.
_LOWEST, _HIGHEST = 1e-3, 100.0
#: Run lengths beyond this are not exact any more.
_LONGEST = 1e12


def cusum_limit(arl: float, *, k: float = 0.5) -> float:
    """Return the limit h at which a one-sided CUSUM in control runs for ``arl`` windows, its law being known.

    >>> round(cusum_limit(370), 3), round(cusum_limit(1000), 3)
    (4.095, 5.071)
    """
    return float(brentq(lambda h: _excess(cusum_arl(h, k=k), arl), _LOWEST, _HIGHEST, xtol=1e-6))


@lru_cache
def guaranteed_cusum_limit(arl: float, *, k: float, scores: int) -> float:
    """Return the limit at which ``CONFIDENCE`` of all calibrations run for ``arl`` windows or longer, in control.

    The calibration's mean is off by e ~ N(0, 1 / scores) and its standard deviation by a factor of about
    N(1, 1 / (2 scores)); a window of the greatest weight is then off by N(0, 1 / ``PART_OF_CALIBRATION``). The
    logarithm of the run length is nearly linear in both, so the limit is that of the worst of all errors that are as
    far out as ``CONFIDENCE`` says: of the first-order reliability method (Hasofer and Lind 1974).

    Args:
        arl: Windows, above 1.
        k: The allowance.
        scores: Calibration scores, at least 2.

    Raises:
        ValueError: If the run length is none that can be computed.
    """
    if not 1 < arl < _LONGEST:
        raise ValueError(f"expected a run length between 1 and {_LONGEST:g} windows, got {arl:g}")
    errors = np.array([1 / math.sqrt(PART_OF_CALIBRATION), 1 / math.sqrt(2 * scores)])
    far = float(ndtri(CONFIDENCE))
    worst, limit = np.array([1.0, 0.0]), 0.0
    for _ in range(_TURNS):
        limit = _limit_at(far * worst * errors, arl, k)
        slopes = [_excess_at(limit, (far * worst + step) * errors, arl, k) for step in _STEPS]
        downhill = np.array([slopes[0] - slopes[1], slopes[2] - slopes[3]])
        worst = downhill / float(np.linalg.norm(downhill))
    return round(limit, 4)


def _limit_at(off: Floats, arl: float, k: float) -> float:
    return float(brentq(_excess_at, _LOWEST, _HIGHEST, args=(off, arl, k), xtol=1e-5))


def _excess_at(limit: float, off: Floats, arl: float, k: float) -> float:
    """Return how much longer a chart runs whose values have the mean ``off[0]`` and the deviation 1 + ``off[1]``."""
    return _excess(cusum_arl(limit, k=k, mean=float(off[0]), sd=1 + float(off[1])), arl)


@lru_cache
def mewma_limit(arl: float, *, dimensions: int, weight: float = 0.1) -> float:
    """Return the limit h4 at which a MEWMA in control runs for ``arl`` windows, its law being known.

    >>> round(mewma_limit(200, dimensions=4), 2), round(mewma_limit(1000, dimensions=3, weight=0.05), 1)
    (12.72, 13.6)
    """

    def excess(limit: float) -> float:
        return _excess(mewma_arl(limit, dimensions=dimensions, weight=weight), arl)

    return round(float(brentq(excess, dimensions, 10 * dimensions + 100, xtol=1e-5)), 4)


def _excess(runs: float, arl: float) -> float:
    """Return how much longer a chart runs than asked, as a logarithm."""
    # What runs for longer than numbers are exact comes out as anything, below 0 too.
    return math.log((min(runs, _LONGEST) if runs > 0 else _LONGEST) / arl)
