"""How many different faces a set amounts to, and how alike they are."""

import numpy as np

from streams.core.metrics.sketch import Sketch, require, require_unit


def vendi(sketch: Sketch) -> float:
    """Return exp of the entropy of the eigenvalues of K / n, K the cosines of unit rows: Friedman and Dieng (2023).

    From 1, all rows alike, to min(n, d), all at right angles. Eq. 1 there; K / n and the mean outer product of the rows
    have the same eigenvalues but for zeros, so that sums are enough.

    Raises:
        ValueError: If there are no rows, or rows of another length than 1.

    >>> round(vendi(Sketch.of(np.eye(4)[[0, 0, 1, 1]])), 6)
    2.0
    """
    require(sketch, 1)
    require_unit(sketch)
    values = np.linalg.eigvalsh(sketch.second / sketch.count)
    values = values[values > 1e-12]
    return float(np.exp(-(values * np.log(values)).sum()))


def mean_similarity(sketch: Sketch) -> float:
    """Return the mean cosine of two different rows, in [-1, 1].

    Raises:
        ValueError: If there are fewer than two rows, or rows of another length than 1.

    >>> mean_similarity(Sketch.of(np.eye(4)[[0, 0, 1]])) * 3
    1.0
    """
    require(sketch, 2)
    require_unit(sketch)
    return float(sketch.total @ sketch.total - sketch.count) / (sketch.count * (sketch.count - 1))
