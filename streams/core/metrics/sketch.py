"""Sums over embeddings that add: what means, covariances, distances of distributions and diversity are made from."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.floating[Any]]


@dataclass(frozen=True, eq=False)
class Sketch:
    """n rows of d values, of which only the sums are kept. Merging sketches of parts gives the sketch of the whole."""

    count: int
    total: npt.NDArray[np.float64]
    """Sum of the rows, shape (d,)."""
    second: npt.NDArray[np.float64]
    """Sum of their outer products with themselves, shape (d, d)."""

    @classmethod
    def of(cls, rows: Floats) -> Self:
        """Sum up rows, shape (n, d).

        Raises:
            ValueError: If they are no table of finite numbers.
        """
        exact = rows.astype(np.float64)
        if exact.ndim != 2 or not np.isfinite(exact).all():
            raise ValueError(f"expected rows of finite numbers, got an array of shape {rows.shape}")
        return cls(len(exact), exact.sum(axis=0), exact.T @ exact)

    def merged(self, other: Self) -> Self:
        """Return the sketch of both sets of rows."""
        return type(self)(self.count + other.count, self.total + other.total, self.second + other.second)

    @property
    def mean(self) -> npt.NDArray[np.float64]:
        """The mean row, shape (d,)."""
        return self.total / self.count

    @property
    def covariance(self) -> npt.NDArray[np.float64]:
        """The unbiased covariance, shape (d, d).

        Raises:
            ValueError: If there are fewer than two rows.
        """
        require(self, 2)
        return (self.second - np.outer(self.total, self.total) / self.count) / (self.count - 1)


def require(sketch: Sketch, rows: int) -> None:
    """Refuse a sketch of fewer rows with a ValueError."""
    if sketch.count < rows:
        raise ValueError(f"expected at least {rows} rows, got {sketch.count}")


def require_unit(sketch: Sketch) -> None:
    """Refuse a sketch of rows that are not of unit length with a ValueError."""
    length = float(np.trace(sketch.second)) / max(sketch.count, 1)
    if abs(length - 1) > 1e-3:
        raise ValueError(
            f"expected rows of unit length, got a mean square length of {length:.4g}: normalise them first"
        )
