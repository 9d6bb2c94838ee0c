"""How long a MEWMA chart runs until it speaks (Lowry et al. 1992), by integral equations.

E = (1 - r) E + r y with y normal in p dimensions, alarm where T² = (2 - r) / r · |E|² > limit. In control only |E|²
matters (Rigdon 1995a); after a shift also the part of E that points along it (Rigdon 1995b). Both are solved with
Gauss-Legendre nodes, in coordinates in which the solution is smooth up to the edge.
"""

import math

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln, ive

from streams.core.drift.run_length import nodes

Floats = npt.NDArray[np.float64]

_NODES = 40
#: After a shift: nodes for each standard deviation of one step along it, and away from it.
_ALONG_PER_SD, _AWAY_PER_SD = 2.2, 1.8


def mewma_arl(limit: float, *, dimensions: int, weight: float = 0.1, shift: float = 0.0) -> float:
    """Return the ARL of a MEWMA chart that begins at 0.

    Args:
        limit: h4, above 0.
        dimensions: p, at least 1; at least 2 after a shift.
        weight: r, in (0, 1).
        shift: Length of the shift of the mean, in standard deviations of one value: the root of the non-centrality.

    >>> round(mewma_arl(16.38, dimensions=4, weight=0.25))  # Rigdon (1995a)
    500
    """
    radius = math.sqrt(limit * weight / (2 - weight))
    return _in_control(radius, dimensions, weight) if shift == 0 else _shifted(radius, dimensions, weight, shift)


def _in_control(radius: float, p: int, r: float) -> float:
    x, weights = nodes(0.0, radius, _NODES)

    def moves(from_: Floats) -> Floats:
        return weights * 2 * x / r**2 * _chi_squared(x**2 / r**2, p, ((1 - r) / r) ** 2 * from_[:, None] ** 2)

    arl = np.linalg.solve(np.eye(len(x)) - moves(x), np.ones(len(x)))
    return float(1 + (moves(np.zeros(1)) @ arl)[0])


def _shifted(radius: float, p: int, r: float, shift: float) -> float:
    # a along the shift and b >= 0 away from it, in a half disk: a = R sin(t), b = R cos(t) s.
    t, t_weights = nodes(-math.pi / 2, math.pi / 2, math.ceil(_ALONG_PER_SD * 2 * radius / r))
    s, s_weights = nodes(0.0, 1.0, math.ceil(_AWAY_PER_SD * radius / r))
    a, b = (radius * np.sin(t)).repeat(len(s)), (radius * np.cos(t)[:, None] * s).ravel()
    area = ((radius * np.cos(t)) ** 2 * t_weights)[:, None] * s_weights

    def moves(from_a: Floats, from_b: Floats) -> Floats:
        along = np.exp(-(((a - (1 - r) * from_a[:, None]) / r - shift) ** 2) / 2) / math.sqrt(2 * math.pi) / r
        away = 2 * b / r**2 * _chi_squared(b**2 / r**2, p - 1, ((1 - r) / r) ** 2 * from_b[:, None] ** 2)
        return np.asarray(area.ravel() * along * away)

    arl = np.linalg.solve(np.eye(len(a)) - moves(a, b), np.ones(len(a)))
    return float(1 + (moves(np.zeros(1), np.zeros(1)) @ arl)[0])


def _chi_squared(x: Floats, degrees: int, noncentrality: Floats) -> Floats:
    """Return the density of the non-central chi-squared law at x > 0, by its Bessel function."""
    order = degrees / 2 - 1
    central = np.exp(order * np.log(x) - x / 2 - degrees / 2 * math.log(2) - gammaln(degrees / 2))
    with np.errstate(divide="ignore", invalid="ignore"):  # where the non-centrality is 0, the central one is taken
        root = np.sqrt(noncentrality * x)
        bell = np.exp(-((np.sqrt(x) - np.sqrt(noncentrality)) ** 2) / 2)
        density = bell / 2 * (x / noncentrality) ** (order / 2) * ive(order, root)
    return np.asarray(np.where(noncentrality > 1e-12, density, central))
