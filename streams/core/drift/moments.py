"""What two sets of embeddings have in common, from sums that add: count, sum and sum of outer products."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.core.faces import Embedding

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Moments:
    """Sums over unit vectors. Two of them add to those of both sets together."""

    n: int
    first: Floats
    """Sum of x, shape (d,)."""
    second: Floats
    """Sum of x xᵀ, shape (d, d)."""

    @staticmethod
    def of(vectors: Sequence[Embedding]) -> "Moments":
        """Return the sums over unit vectors, at least one."""
        rows = np.stack(vectors).astype(np.float64)
        return Moments(len(rows), rows.sum(axis=0), rows.T @ rows)

    def __add__(self, other: "Moments") -> "Moments":
        return Moments(self.n + other.n, self.first + other.first, self.second + other.second)

    @property
    def mean(self) -> Floats:
        """Shape (d,)."""
        return self.first / self.n

    @property
    def covariance(self) -> Floats:
        """Shape (d, d), unbiased; needs two vectors."""
        return np.asarray((self.second - np.outer(self.first, self.mean)) / (self.n - 1))


def frechet(a: Moments, b: Moments) -> float | None:
    """Return |mu_a - mu_b|² + tr(A + B - 2 (A B)^1/2) (Dowson and Landau 1982); None below two vectors each.

    Biased upwards by few vectors: compare it at equal n only.
    """
    if min(a.n, b.n) < 2:
        return None
    # The eigenvalues of A B are those of a product of two covariances: real, and not below 0 but for rounding.
    eigenvalues = np.linalg.eigvals(a.covariance @ b.covariance).real
    root = float(np.sum(np.sqrt(np.clip(eigenvalues, 0, None))))
    apart = float(np.sum((a.mean - b.mean) ** 2))
    return max(0.0, apart + float(np.trace(a.covariance) + np.trace(b.covariance)) - 2 * root)


def mmd2(a: Moments, b: Moments, *, c: float = 1.0) -> float | None:
    """Return the unbiased MMD² with the kernel (x.y + c)² (Gretton et al. 2012, equation 3); None below two each.

    The kernel needs no more of unit vectors than their moments, and the distance is 0 where mean and covariance agree.
    """
    if min(a.n, b.n) < 2:
        return None
    cross = float(np.sum(a.second * b.second)) + 2 * c * float(a.first @ b.first) + c * c * a.n * b.n
    return _within(a, c) + _within(b, c) - 2 * cross / (a.n * b.n)


def _within(a: Moments, c: float) -> float:
    all_pairs = float(np.sum(a.second**2)) + 2 * c * float(a.first @ a.first) + c * c * a.n**2
    return (all_pairs - a.n * (1 + c) ** 2) / (a.n * (a.n - 1))


def mean_similarity(a: Moments) -> float | None:
    """Return the mean cosine of two different ones of unit vectors, in [-1, 1]; None below two."""
    return None if a.n < 2 else (float(a.first @ a.first) - a.n) / (a.n * (a.n - 1))


def vendi(a: Moments) -> float:
    """Return exp(-sum l log l) over the eigenvalues l of the second moment (Friedman and Dieng 2023): 1 to n.

    >>> round(vendi(Moments.of([np.eye(4, dtype=np.float32)[i] for i in (0, 1, 1, 0)])), 6)
    2.0
    """
    eigenvalues = np.linalg.eigvalsh(a.second / a.n)
    kept = eigenvalues[eigenvalues > 1e-12]
    return math.exp(-float(np.sum(kept * np.log(kept))))
