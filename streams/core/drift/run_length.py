"""How long a CUSUM or an EWMA chart runs until it speaks: average run lengths (ARL) by integral equations.

A chart of independent normal values is a Markov chain on an interval. Its ARL L(x), as a function of where the chart
stands, solves a Fredholm equation of the second kind (Page 1954; Crowder 1987). Here it is solved with Gauss-Legendre
nodes (Nyström), whose error falls faster than any power of their number.
"""

import math
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import ndtr

Floats = npt.NDArray[np.float64]

#: Nodes for each standard deviation that the interval is wide, and at least so many.
_NODES_PER_SD, _FEWEST_NODES = 5, 40


def cusum_arl(limit: float, *, k: float = 0.5, mean: float = 0.0, sd: float = 1.0, start: float = 0.0) -> float:
    """Return the ARL of a one-sided CUSUM: C = max(0, C + x - k), alarm where C > limit.

    Args:
        limit: h, above 0.
        k: The allowance; half the shift that is to be found fast.
        mean: Of the values x, which are independent and normal.
        sd: Their standard deviation, above 0.
        start: Where C begins, in [0, limit]: 0, or limit / 2 for the fast initial response of Lucas and Crosier (1982).

    >>> round(cusum_arl(3, k=0.5), 1), round(cusum_arl(3, k=0.5, mean=1.5), 2)  # Brook and Evans (1972): 117.59, 3.75
    (117.6, 3.75)
    """
    h, drift, begin = limit / sd, (k - mean) / sd, start / sd
    x, weights = _nodes(0.0, h)
    # Unknowns: L at the nodes, and at 0, where the chart is held.
    from_ = np.concatenate(([0.0], x))
    held = ndtr(drift - from_)
    moves = weights * _density(x - from_[:, None] + drift)
    system = np.eye(len(from_)) - np.column_stack((held, moves))
    arl = np.linalg.solve(system, np.ones(len(from_)))
    return float(1 + ndtr(drift - begin) * arl[0] + weights * _density(x - begin + drift) @ arl[1:])


def two_sided_cusum_arl(limit: float, *, k: float = 0.5, mean: float = 0.0, head_start: bool = False) -> float:
    """Return the ARL of an upper and a lower CUSUM together (Lucas and Crosier 1982, equation for both sides).

    Args:
        limit: h of both.
        k: The allowance of both.
        mean: Of the values.
        head_start: Whether both begin at limit / 2, not at 0. At most limit / 2 + k, so that they never speak at once.

    >>> round(two_sided_cusum_arl(4), 1), round(two_sided_cusum_arl(4, mean=1), 2)
    (167.7, 8.38)
    """
    up, down = cusum_arl(limit, k=k, mean=mean), cusum_arl(limit, k=k, mean=-mean)
    if not head_start:
        return 1 / (1 / up + 1 / down)
    up_ahead = cusum_arl(limit, k=k, mean=mean, start=limit / 2)
    down_ahead = cusum_arl(limit, k=k, mean=-mean, start=limit / 2)
    return (up_ahead * down + down_ahead * up - up * down) / (up + down)


def ewma_arl(width: float, *, weight: float, mean: float = 0.0) -> float:
    """Return the ARL of a two-sided EWMA with constant limits (Lucas and Saccucci 1990).

    E = (1 - weight) E + weight x, alarm where |E| exceeds ``width`` of its long-run standard deviations.

    Args:
        width: L, above 0.
        weight: lambda, in (0, 1].
        mean: Of the values x, whose standard deviation is 1.

    >>> round(ewma_arl(3.071, weight=0.5)), round(ewma_arl(3.071, weight=0.5, mean=1), 1)
    (500, 17.5)
    """
    limit = width * math.sqrt(weight / (2 - weight))
    x, weights = _nodes(-limit, limit, sd=weight)
    moves = weights / weight * _density((x - (1 - weight) * x[:, None]) / weight - mean)
    arl = np.linalg.solve(np.eye(len(x)) - moves, np.ones(len(x)))
    return float(1 + weights / weight * _density(x / weight - mean) @ arl)


def nodes(low: float, high: float, number: int) -> tuple[Floats, Floats]:
    """Return Gauss-Legendre nodes and weights between two points, each of shape (number,)."""
    x, weights = _legendre(number)
    half = (high - low) / 2
    return low + half * (x + 1), half * weights


@lru_cache
def _legendre(number: int) -> tuple[Floats, Floats]:
    x, weights = np.polynomial.legendre.leggauss(number)  # type: ignore[no-untyped-call]
    return np.asarray(x), np.asarray(weights)


def _nodes(low: float, high: float, *, sd: float = 1.0) -> tuple[Floats, Floats]:
    """Return as many nodes as values of this ``sd`` need."""
    number = max(_FEWEST_NODES, math.ceil(_NODES_PER_SD * (high - low) / sd))
    return nodes(low, high, number)


def _density(x: Floats) -> Floats:
    return np.asarray(np.exp(-x * x / 2) / math.sqrt(2 * math.pi))
