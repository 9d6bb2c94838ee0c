"""How unusual a sample is among accepted ones: split-conformal p-values (Vovk et al., 2005), and what they cannot say.

They hold where the sample is exchangeable with the ones that it is compared with: generated samples with generated
samples of the same model version, not with photographs.
"""

import math

import numpy as np
from scipy.stats import beta

from streams.core.biometrics.comparisons import Floats


def p_value(accepted: Floats, score: float) -> float:
    """Return p = (1 + #{accepted ≤ score}) / (n + 1): P(p ≤ α) ≤ α for a sample like the accepted ones.

    >>> p_value(np.array([0.5, 0.6, 0.7]), 0.55)
    0.5
    """
    return float((1 + (accepted <= score).sum()) / (len(accepted) + 1))


def smallest(count: int) -> float:
    """Return the smallest p-value that ``count`` accepted samples can give: 19 are needed for 5 %, 99 for 1 %."""
    return 1 / (count + 1)


def limit(accepted: Floats, alpha: float) -> float | None:
    """Return the limit below which a score has p ≤ ``alpha``; None where there are too few accepted samples for it."""
    rank = _rank(len(accepted), alpha)
    return float(np.sort(accepted)[rank - 1]) if rank else None


def false_flags(count: int, alpha: float) -> tuple[float, float]:
    """Return between what, nine times of ten, the share of good samples lies that this limit flags.

    Given the accepted samples it is Beta(l, n + 1 - l) with l = ⌊(n + 1) α⌋ (Vovk, 2012).
    """
    rank = _rank(count, alpha)
    if rank == 0:
        return 0.0, 0.0
    low, high = beta.ppf([0.05, 0.95], rank, count + 1 - rank)
    return float(low), float(high)


def _rank(count: int, alpha: float) -> int:
    return math.floor(alpha * (count + 1) + 1e-9)
