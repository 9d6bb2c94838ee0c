"""Limits of the charts: from how long they should run without a false alarm, and from how little is known.

The published tables hold where the law in control is known. Here it is known from m calibration scores, so every chart
has a constant error, in its own favour or against it. The limit is taken so that nine calibrations of ten run at least
as long as promised (after Gandy and Kvaloy 2013).

The mean of a window of n normal scores has that error n^0.5 times larger, in its standard deviations, than one score.
So a window weighs no more than a part of the calibration behind it, or large ones would find the calibration's error.
"""

import math
from functools import lru_cache

from scipy.optimize import brentq
from scipy.special import ndtr

from streams.core.drift.mewma_run_length import mewma_arl
from streams.core.drift.run_length import cusum_arl

#: Of so many calibrations the limit holds.
CONFIDENCE = 0.9
#: A window weighs at most as much as so large a part of the calibration.
PART_OF_CALIBRATION = 25
#: A calibration of fewer scores is called provisional.
FEWEST_SCORES = 50

#: Gauss and Hermite's three nodes and weights of a normal law.
_HERMITE = ((-math.sqrt(3), 1 / 6), (0.0, 2 / 3), (math.sqrt(3), 1 / 6))
#: No chart waits for longer than a limit of so many standard deviations.
_HIGHEST = 100.0
#: Run lengths beyond this are not exact any more.
_LONGEST = 1e12


def cusum_limit(arl: float, *, k: float = 0.5) -> float:
    """Return the limit h at which a one-sided CUSUM in control runs for ``arl`` windows, its law being known.

    >>> round(cusum_limit(370), 3), round(cusum_limit(1000), 3)
    (4.095, 5.071)
    """
    return float(brentq(lambda h: _excess(cusum_arl(h, k=k), arl), 1e-3, _HIGHEST, xtol=1e-6))


@lru_cache
def guaranteed_cusum_limit(arl: float, *, k: float, scores: int) -> float:
    """Return the limit at which ``CONFIDENCE`` of all calibrations run for ``arl`` windows or longer, in control.

    The calibration's mean is off by e ~ N(0, 1 / scores) and its standard deviation by a factor of about
    N(1, 1 / (2 scores)); a window of the greatest weight is then off by N(0, 1 / ``PART_OF_CALIBRATION``). For each
    standard deviation the error is found that makes the chart run for just ``arl`` windows, and then the limit at which
    worse ones are rare enough.

    Args:
        arl: Windows, above 1.
        k: The allowance.
        scores: Calibration scores, at least 2.

    Raises:
        ValueError: If the run length is none that can be computed.
    """
    if not 1 < arl < _LONGEST:
        raise ValueError(f"expected a run length between 1 and {_LONGEST:g} windows, got {arl:g}")
    spreads = [(max(0.05, 1 + z / math.sqrt(2 * scores)), weight) for z, weight in _HERMITE]
    of_mean = 1 / math.sqrt(PART_OF_CALIBRATION)

    def shortfall(h: float) -> float:
        likely = sum(weight * ndtr(_tolerable(h, arl, k, sd) / of_mean) for sd, weight in spreads)
        return float(likely) - CONFIDENCE

    return round(float(brentq(shortfall, cusum_limit(arl, k=k) / 2, _HIGHEST, xtol=1e-3)), 4)


def _tolerable(h: float, arl: float, k: float, sd: float) -> float:
    """Return the mean of the values at which the chart runs for just ``arl`` windows: it falls with the mean."""

    def excess(mean: float) -> float:
        return _excess(cusum_arl(h, k=k, mean=mean, sd=sd), arl)

    worst, best = k + 5 * sd, -3 * sd
    return float(brentq(excess, best, worst, xtol=1e-4)) if excess(best) > 0 else best


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
