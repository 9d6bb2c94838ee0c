"""A trial's comparisons by adaptive symmetric score normalisation, all at once."""

import numpy as np

from streams.core.biometrics.cohort import Usual, normalised, usual
from streams.core.biometrics.comparisons import Comparisons, Floats, Integers, Trial
from streams.core.similarity import DECIMALS


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
