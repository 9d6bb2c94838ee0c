"""How near strangers usually come to a face, and how near somebody comes as strangers go.

The score of adaptive symmetric normalisation (Matějka et al., 2017), s' = ½ [(s - μ₁)/σ₁ + (s - μ₂)/σ₂]: some faces are
near to everybody, so a similarity is expressed in standard deviations above what is usual among the nearest strangers
of a cohort, for either side. One limit fits all then.
"""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.core.similarity import DECIMALS

Floats = npt.NDArray[np.float64]

#: The fewest strangers that a cohort should have.
COHORT = 100

#: Below this standard deviation similarities are all the same, but for rounding.
_NO_SPREAD = 1e-9


@dataclass(frozen=True, eq=False)
class Usual:
    """How near strangers usually come to each of some faces."""

    mean: Floats
    """Shape (n,)."""
    deviation: Floats
    """Standard deviation, shape (n,)."""


@dataclass(frozen=True, eq=False)
class Cohort:
    """Strangers by whom scores are normalised."""

    sha256: str
    """Of the file that holds them."""
    vectors: Floats
    """Unit vectors, shape (k, d)."""
    top: int
    """As in ``usual``."""

    def score(self, probe: npt.NDArray[np.float32], centroid: npt.NDArray[np.float32]) -> float | None:
        """Return the normalised score of a probe with a person's centroid, both unit vectors of shape (d,).

        None where strangers are all as near to one of them: then nothing says what is usual.
        """
        one, other = probe.astype(np.float64), centroid.astype(np.float64)
        sides = [usual(vector[np.newaxis] @ self.vectors.T, self.top) for vector in (one, other)]
        if any(side.deviation[0] < _NO_SPREAD for side in sides):
            return None
        similarity = np.round(np.clip([one @ other], -1.0, 1.0), DECIMALS)
        return round(float(normalised(similarity, *sides)[0]), DECIMALS)


def usual(to_cohort: Floats, top: int) -> Usual:
    """Return mean and standard deviation of the ``top`` nearest strangers of each face.

    Args:
        to_cohort: Similarities of faces to the cohort, shape (n, k).
        top: How many of the k strangers count, the nearest first; 50 to 200 are usual.

    Raises:
        ValueError: If the cohort has fewer than two members: they have no spread.
    """
    if to_cohort.shape[1] < 2 or top < 2:
        raise ValueError(f"expected a cohort of two strangers at least, got {min(top, to_cohort.shape[1])}")
    nearest = np.sort(to_cohort, axis=1)[:, -top:]
    return Usual(nearest.mean(axis=1), nearest.std(axis=1))


def normalised(similarities: Floats, first: Usual, second: Usual) -> Floats:
    """Return s' = ½ [(s - μ₁)/σ₁ + (s - μ₂)/σ₂], shape as given.

    It is the same either way round, and does not change when every similarity becomes a·s + b with a > 0.
    """
    return np.asarray(
        ((similarities - first.mean) / first.deviation + (similarities - second.mean) / second.deviation) / 2
    )
