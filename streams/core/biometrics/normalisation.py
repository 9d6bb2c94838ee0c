"""Adaptive symmetric score normalisation (Matějka et al., 2017): how near two are, as others go, seen from both.

Some faces are near to everybody. A score is expressed in standard deviations above what is usual among a cohort of
strangers, for either side, so that one limit fits all.
"""

from dataclasses import dataclass

import numpy as np

from streams.core.biometrics.comparisons import Comparisons, Floats, Integers, Trial
from streams.core.similarity import DECIMALS

#: The fewest strangers that a cohort should have.
COHORT = 100


@dataclass(frozen=True, eq=False)
class Usual:
    """How near strangers usually come to each of some faces."""

    mean: Floats
    """Shape (n,)."""
    deviation: Floats
    """Standard deviation, shape (n,)."""


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


def normalised_trial(trial: Trial, embeddings: Floats, cohort: Floats, *, top: int) -> Comparisons:
    """Return a trial's comparisons, score-normalised; what is usual for a person is that of the person's centroid.

    Args:
        trial: Of these embeddings.
        embeddings: Unit vectors of the probes, shape (probes, d).
        cohort: Unit vectors of strangers to all of them, shape (k, d).
        top: As in ``usual``.
    """
    probes, people = usual(embeddings @ cohort.T, top), usual(trial.centroids @ cohort.T, top)
    raw = trial.comparisons
    mated = _of(raw.mated, probes, trial.mated_probes, people, raw.mated_subjects)
    non_mated = _of(raw.non_mated, probes, trial.non_mated_probes, people, raw.non_mated_subjects[:, 1])
    return Comparisons(mated, raw.mated_subjects, non_mated, raw.non_mated_subjects)


def _of(scores: Floats, probes: Usual, of: Integers, people: Usual, to: Integers) -> Floats:
    first = Usual(probes.mean[of], probes.deviation[of])
    second = Usual(people.mean[to], people.deviation[to])
    return np.asarray(np.round(normalised(scores, first, second), DECIMALS))
