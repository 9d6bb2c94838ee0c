"""Where embeddings lie in control: means by identity, and the directions in which they vary within one identity."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.core.drift.calibration import FEWEST_IN_WINDOW, PART_OF_CALIBRATION, Calibration
from streams.core.drift.chart import Observation
from streams.core.faces import Embedding

Floats = npt.NDArray[np.float64]

#: Directions that are charted, at most, and embeddings that each of them needs.
_MOST_DIRECTIONS, _EMBEDDINGS_EACH = 8, 15


@dataclass(frozen=True, eq=False)
class Whitening:
    """Takes embeddings to independent values of variance 1, in control."""

    means: Mapping[str, Floats]
    """By stratum, shape (d,)."""
    counts: Mapping[str, int]
    axes: Floats
    """Shape (d, p): the p main directions, each divided by its standard deviation."""

    @property
    def dimensions(self) -> int:
        """How many directions are charted."""
        return int(self.axes.shape[1])

    @staticmethod
    def of(
        observations: Sequence[Observation], embeddings: Mapping[str, Embedding], calibration: Calibration
    ) -> "Whitening | None":
        """Return it from the samples in control; None where too few of them have an embedding."""
        by_stratum: defaultdict[str, list[Embedding]] = defaultdict(list)
        for one in sorted(observations, key=lambda each: each.sample_id):
            if one.sample_id in embeddings and calibration.normal_score(one) is not None:
                by_stratum[calibration.stratum(one.identity)].append(embeddings[one.sample_id])
        rows = {name: np.stack(found).astype(np.float64) for name, found in sorted(by_stratum.items())}
        freedom = sum(len(found) for found in rows.values()) - len(rows)
        p = min(_MOST_DIRECTIONS, freedom // _EMBEDDINGS_EACH)
        if p < 1:
            return None
        means = {name: found.mean(axis=0) for name, found in rows.items()}
        residuals = np.concatenate([found - means[name] for name, found in rows.items()])
        # The singular values are the roots of the pooled covariance's eigenvalues, without the covariance.
        _, singular, directions = np.linalg.svd(residuals, full_matrices=False)
        kept = min(p, int(np.sum(singular > 1e-6 * singular[0]))) if singular[0] > 0 else 0
        if not kept:
            return None
        spread = singular[:kept] / np.sqrt(freedom)
        counts = {name: len(found) for name, found in rows.items()}
        return Whitening(means, counts, directions[:kept].T / spread)

    def window(
        self, observations: Sequence[Observation], embeddings: Mapping[str, Embedding], calibration: Calibration
    ) -> tuple[float, ...] | None:
        """Return y, shape (p,): the window's mean residual, whitened, of variance 1 at most in control.

        None where too few of the samples have an embedding and a known mean.
        """
        residuals, shares = [], defaultdict[str, int](int)
        for one in sorted(observations, key=lambda each: each.sample_id):
            stratum = calibration.stratum(one.identity)
            if one.sample_id in embeddings and stratum in self.means:
                residuals.append(embeddings[one.sample_id].astype(np.float64) - self.means[stratum])
                shares[stratum] += 1
        n = len(residuals)
        if n < FEWEST_IN_WINDOW:
            return None
        behind = 1 / sum((count / n) ** 2 / self.counts[name] for name, count in sorted(shares.items()))
        weight = min(n, behind / PART_OF_CALIBRATION)
        y = np.sqrt(weight) * (np.mean(np.stack(residuals), axis=0) @ self.axes)
        return tuple(round(float(value), 6) for value in y)
