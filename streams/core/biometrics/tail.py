"""Rates that are smaller than the comparisons can show: a generalised Pareto distribution fitted to the tail.

Beyond a high threshold excesses follow it whatever the scores' own distribution (Pickands, 1975); ISO/IEC 5152 is about
this use of it. What comes out is an extrapolation, and must be marked as one.
"""

from dataclasses import dataclass

import numpy as np
from scipy.stats import genpareto

from streams.core.biometrics.comparisons import Floats

#: The share of the scores that is the tail, and the fewest and the most that are.
_SHARE, _FEWEST, _MOST = 0.05, 20, 5000


@dataclass(frozen=True)
class Tail:
    """P(score ≥ t) = reached · (1 + shape · (t - start) / scale)^(-1/shape) for t ≥ start."""

    start: float
    reached: float
    """Share of the scores that reach ``start``."""
    shape: float
    """ξ; negative: no score is above start - scale / shape."""
    scale: float

    def rate(self, threshold: float) -> float:
        """Return the share of scores at ``threshold`` or above; for thresholds from ``start`` on."""
        return float(self.reached * genpareto.sf(threshold - self.start, self.shape, scale=self.scale))

    def threshold(self, rate: float) -> float:
        """Return the threshold that this share of scores reaches; for rates up to ``reached``."""
        return float(self.start + genpareto.isf(rate / self.reached, self.shape, scale=self.scale))


def tail(scores: Floats) -> Tail | None:
    """Fit the tail of non-mated scores, shape (n,), by maximum likelihood; None where there are too few."""
    ranked = np.sort(scores)[::-1]
    count = min(_MOST, max(_FEWEST, int(len(ranked) * _SHARE)))
    if len(ranked) <= 2 * _FEWEST or ranked[0] - ranked[count] < 1e-9:
        return None
    start = float(ranked[count])
    excesses = ranked[:count][ranked[:count] > start] - start
    with np.errstate(all="ignore"):  # the search tries parameters that no score could come from
        shape, _, scale = genpareto.fit(excesses, floc=0)
    return Tail(start, len(excesses) / len(ranked), float(shape), float(scale))
