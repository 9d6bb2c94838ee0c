"""Does what is made look like what is real, and all of it? By neighbours, without a model of either distribution."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.core.metrics.sketch import Floats

Distances = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Manifold:
    """What the k nearest neighbours say."""

    precision: float
    """Share of fake rows within the reach of some real row, in [0, 1]: Kynkäänniemi et al. (2019), eq. 1 and 2."""
    recall: float
    """Share of real rows within the reach of some fake row, in [0, 1]."""
    density: float
    """In how many real rows' reach a fake row lies, in units of k, 0 and up, 1 for equal distributions: Naeem et al.
    (2020), eq. 3. One real outlier cannot lift it as it lifts precision."""
    coverage: float
    """Share of real rows that have a fake row within their reach, in [0, 1]: Naeem et al., eq. 4."""


def manifold(real: Floats, fake: Floats, k: int = 5, *, of_real: Distances | None = None) -> Manifold:
    """Compare two sets of rows; a row's reach is the Euclidean distance to its k-th nearest of its own set.

    Args:
        real: Shape (n, d), n > k.
        fake: Shape (m, d), m > k.
        k: The authors take 3 for precision and recall, 5 for density and coverage.
        of_real: ``reaches(real, k)``, where many are compared with the same.

    Raises:
        ValueError: If a set has no k-th neighbour.
    """
    if k < 1 or min(len(real), len(fake)) <= k:
        raise ValueError(f"expected more than k = {k} rows of each, got {len(real)} and {len(fake)}")
    of_real, of_fake = reaches(real, k) if of_real is None else of_real, reaches(fake, k)
    apart = _distances(real, fake)  # (n, m)
    within_real = apart < of_real[:, None]
    within_fake = apart < of_fake
    return Manifold(
        precision=float(within_real.any(axis=0).mean()),
        recall=float(within_fake.any(axis=1).mean()),
        density=float(within_real.sum(axis=0).mean()) / k,
        coverage=float((apart.min(axis=1) < of_real).mean()),
    )


def reaches(rows: Floats, k: int) -> Distances:
    """Return the distance of each row to its k-th nearest other row, shape (n,)."""
    # The nearest of all is the row itself.
    return np.partition(_distances(rows, rows), k, axis=1)[:, k]


def thinned(rows: Floats, most: int) -> Floats:
    """Return at most so many rows, evenly spread over all: distances are as many as the square of them."""
    if len(rows) <= most:
        return rows
    return np.take(rows, np.linspace(0, len(rows) - 1, most).astype(int), axis=0)


def _distances(a: Floats, b: Floats) -> Distances:
    x, y = a.astype(np.float64), b.astype(np.float64)
    squares = np.square(x).sum(axis=1)[:, None] + np.square(y).sum(axis=1) - 2 * x @ y.T
    distances: Distances = np.sqrt(squares.clip(min=0))
    if a is b:
        np.fill_diagonal(distances, 0)  # rounding leaves a little
    return distances
