"""How far two distributions of embeddings are from each other, as one number; 0 where they are the same.

Named after what they are computed on: the Fréchet distance here is one "in FaceNet space", and no FID, which is one of
Inception features and compares with nothing here.
"""

import numpy as np
import numpy.typing as npt

from streams.core.metrics.sketch import Floats, Sketch, require, require_unit

#: c of the kernel (x . y + c)^2.
_OFFSET = 1.0


def frechet(a: Sketch, b: Sketch) -> float:
    """Return ||m_a - m_b||^2 + tr(C_a + C_b - 2 (C_a C_b)^(1/2)), 0 and up: Dowson and Landau (1982), eq. 4.

    With fewer rows than dimensions it is biased upwards: compare sets of equal size only.

    Raises:
        ValueError: If either has fewer than two rows.
    """
    root = _root(a.covariance)
    # The eigenvalues of C_a C_b are those of the symmetric C_a^(1/2) C_b C_a^(1/2), which has no complex ones.
    shared = np.linalg.eigvalsh(root @ b.covariance @ root).clip(min=0)
    apart = float(np.square(a.mean - b.mean).sum())
    return apart + float(np.trace(a.covariance) + np.trace(b.covariance) - 2 * np.sqrt(shared).sum())


def mmd2(a: Sketch, b: Sketch) -> float:
    """Return the unbiased squared maximum mean discrepancy with the kernel (x . y + 1)^2 of unit rows.

    Gretton et al. (2012), eq. 3. It sees every difference in means and covariances, and may be a little below 0.

    Raises:
        ValueError: If either has fewer than two rows, or rows of another length than 1.
    """
    for sketch in (a, b):
        require(sketch, 2)
        require_unit(sketch)
    crossed = _kernel_sum(a, b) / (a.count * b.count)
    return _within(a) + _within(b) - 2 * crossed


def kid(real: Floats, fake: Floats) -> float:
    """Return the kernel distance of Bińkowski et al. (2018), section 3, over all rows: unbiased, (x . y / d + 1)^3.

    Args:
        real: Shape (n, d).
        fake: Shape (m, d).

    Raises:
        ValueError: If either has fewer than two rows.
    """
    if min(len(real), len(fake)) < 2:
        raise ValueError(f"expected at least 2 rows of each, got {len(real)} and {len(fake)}")
    x, y = real.astype(np.float64), fake.astype(np.float64)
    within = [_mean_off_diagonal(_cubic(rows, rows)) for rows in (x, y)]
    return float(sum(within) - 2 * _cubic(x, y).mean())


def _within(a: Sketch) -> float:
    """Return the kernel's mean over pairs of different rows."""
    of_itself = a.count * (1 + _OFFSET) ** 2
    return (_kernel_sum(a, a) - of_itself) / (a.count * (a.count - 1))


def _kernel_sum(a: Sketch, b: Sketch) -> float:
    """Return the sum over all pairs of (x . y + c)^2 = (x . y)^2 + 2 c x . y + c^2."""
    squares = float((a.second * b.second).sum())
    return squares + 2 * _OFFSET * float(a.total @ b.total) + _OFFSET**2 * a.count * b.count


def _root(covariance: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    values, vectors = np.linalg.eigh(covariance)
    root: npt.NDArray[np.float64] = (vectors * np.sqrt(values.clip(min=0))) @ vectors.T
    return root


def _cubic(x: npt.NDArray[np.float64], y: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    kernel: npt.NDArray[np.float64] = (x @ y.T / x.shape[1] + 1) ** 3
    return kernel


def _mean_off_diagonal(square: npt.NDArray[np.float64]) -> float:
    n = len(square)
    return float(square.sum() - np.trace(square)) / (n * (n - 1))
