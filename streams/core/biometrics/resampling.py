"""How certain a rate is: the bootstrap over people.

Comparisons that share a person are not independent. So people are drawn with replacement, not comparisons: one that is
drawn twice brings each mated comparison twice, and a non-mated comparison as often as both its people are drawn
together (the subset bootstrap of Bolle, Ratha and Pankanti, 2004).
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np

from streams.core.biometrics.comparisons import NOBODY, Comparisons
from streams.core.biometrics.rates import Det, of_counts, thresholds_of

Interval = tuple[float, float]
"""The 95 % interval: low, high."""

_PERCENT = (2.5, 97.5)


def intervals(
    comparisons: Comparisons, figures: Mapping[str, Callable[[Det], float]], *, times: int, seed: int
) -> dict[str, Interval]:
    """Return the 95 % interval of each figure that is read off the error rates, over ``times`` draws of the people."""
    drawn = [[figure(curve) for figure in figures.values()] for curve in resampled(comparisons, times=times, seed=seed)]
    if not drawn:
        return dict.fromkeys(figures, (0.0, 1.0))
    low, high = np.percentile(np.array(drawn), _PERCENT, axis=0)
    return {name: (float(low[place]), float(high[place])) for place, name in enumerate(figures)}


def resampled(comparisons: Comparisons, *, times: int, seed: int) -> Iterator[Det]:
    """Yield the error rates of each draw of the people, but for draws without mated or non-mated comparisons."""
    thresholds = thresholds_of(comparisons.mated, comparisons.non_mated)
    mated_at = np.searchsorted(thresholds, comparisons.mated)
    non_mated_at = np.searchsorted(thresholds, comparisons.non_mated)
    people = max(comparisons.mated_subjects.max(), comparisons.non_mated_subjects.max()) + 1
    first, second = comparisons.non_mated_subjects.T
    known = np.unique(np.concatenate([comparisons.mated_subjects, first, second[second != NOBODY]]))
    random = np.random.default_rng(seed)
    # One place more, for NOBODY: index -1 finds it, and it is always drawn once.
    drawn = np.ones(people + 1)
    for _ in range(times):
        drawn[:-1] = np.bincount(random.choice(known, len(known)), minlength=people)
        mated = np.bincount(mated_at, drawn[comparisons.mated_subjects], len(thresholds))
        non_mated = np.bincount(non_mated_at, drawn[first] * drawn[second], len(thresholds))
        if mated.sum() and non_mated.sum():
            yield of_counts(thresholds, mated, non_mated)
