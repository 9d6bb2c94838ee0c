"""The formulas of the charts: how CUSUM, EWMA and MEWMA go on from where they stand."""

import math
from collections.abc import Sequence

#: A CUSUM goes no further than so many times its limit, so that it comes back soon after what raised it is over. When
#: it first passes the limit is not changed by that.
CEILING = 2.0
#: Decimals of what a chart holds: the same on every machine.
DECIMALS = 6


def cusum(value: float, z: float, *, k: float, limit: float) -> float:
    """Return C = max(0, C + z - k), at most ``CEILING`` limits (Page 1954).

    >>> cusum(1.0, 2.0, k=0.5, limit=5.0), cusum(1.0, -2.0, k=0.5, limit=5.0), cusum(9.0, 3.0, k=0.5, limit=5.0)
    (2.5, 0.0, 10.0)
    """
    return round(min(CEILING * limit, max(0.0, value + z - k)), DECIMALS)


def ewma(value: float, z: float, *, weight: float) -> float:
    """Return E = (1 - weight) E + weight z (Roberts 1959).

    >>> ewma(1.0, 2.0, weight=0.25)
    1.25
    """
    return round((1 - weight) * value + weight * z, DECIMALS)


def mewma(values: Sequence[float], y: Sequence[float], *, weight: float) -> tuple[float, ...]:
    """Return the same for each component of a vector; no values = a chart that begins at 0 (Lowry et al. 1992)."""
    before = values or (0.0,) * len(y)
    return tuple(ewma(one, other, weight=weight) for one, other in zip(before, y, strict=True))


def t_squared(values: Sequence[float], *, weight: float, error: float = 0.0) -> float:
    """Return T² = |E|² / ((weight / (2 - weight)) + error), where E varies by that much in control.

    Args:
        values: E, of a MEWMA.
        weight: r.
        error: Variance of what the chart is constantly off by, as its calibration is; 0 where the law is known.

    >>> t_squared((3.0, 4.0), weight=0.1)
    475.0
    """
    return round(math.fsum(value * value for value in values) / (weight / (2 - weight) + error), DECIMALS)
