"""From a score to a likelihood ratio: how much more often mated comparisons have it than non-mated ones.

Log-likelihood ratios are natural logarithms. What they are worth is judged by Cllr (Brümmer and du Preez, 2006).
"""

import numpy as np
from scipy.optimize import isotonic_regression, minimize
from scipy.special import expit

from streams.core.biometrics.comparisons import Floats, Integers

#: From so many scores of each kind on, the map is isotonic; below it is a straight line.
ISOTONIC_FROM = 1000


def cllr(mated: Floats, non_mated: Floats) -> float:
    """Return ½ [mean log2(1 + e^-llr) of mated + mean log2(1 + e^llr) of non-mated log-likelihood ratios], in bits.

    0 is perfect; 1 is what no information gives; above 1 they mislead.

    >>> cllr(np.zeros(3), np.zeros(5))
    1.0
    """
    bits = np.mean(np.logaddexp(0.0, -mated)) + np.mean(np.logaddexp(0.0, non_mated))
    return float(bits / 2 / np.log(2))


def min_cllr(mated: Floats, non_mated: Floats) -> float:
    """Return the Cllr of the best rising map of these scores: what is left is discrimination, not calibration."""
    scores, counts, hits = _by_score(mated, non_mated, weigh=False)
    posterior = isotonic_regression(hits / counts, weights=counts).x
    prior = np.log(len(mated) / len(non_mated))
    with np.errstate(divide="ignore"):
        ratios = np.log(posterior) - np.log1p(-posterior) - prior
    return cllr(ratios[np.searchsorted(scores, mated)], ratios[np.searchsorted(scores, non_mated)])


def fitted(mated: Floats, non_mated: Floats) -> tuple[Floats, Floats]:
    """Return the map as knots: scores ascending, and their log-likelihood ratios; see ``at``."""
    if min(len(mated), len(non_mated)) >= ISOTONIC_FROM:
        return _isotonic(mated, non_mated)
    slope, offset = logistic(mated, non_mated)
    ends = np.array([min(mated.min(), non_mated.min()), max(mated.max(), non_mated.max())])
    if slope <= 0:  # nearer says nothing, or the labels are the wrong way round
        return ends, np.zeros(2)
    # A ratio beyond the number of comparisons was not measured: there the map is level.
    most = np.array([-np.log(len(mated) + 1), np.log(len(non_mated) + 1)])
    ends = np.clip(ends, *(most - offset) / slope)
    return ends, slope * ends + offset


def at(knots: tuple[Floats, Floats], scores: Floats) -> Floats:
    """Return the log-likelihood ratios of scores: linear between knots, and outside of them as at the nearest one."""
    return np.asarray(np.interp(scores, *knots))


def logistic(mated: Floats, non_mated: Floats) -> tuple[float, float]:
    """Return slope and offset of llr = slope · score + offset, by logistic regression; both kinds weigh the same.

    Targets are Platt's (1999), (n + 1) / (n + 2) instead of 1: scores that separate perfectly have a finite slope.
    """
    hit, miss = (len(mated) + 1) / (len(mated) + 2), 1 / (len(non_mated) + 2)

    def loss(parameters: Floats) -> tuple[float, Floats]:
        total, gradient = 0.0, np.zeros(2)
        for scores, target in ((mated, hit), (non_mated, miss)):
            ratios = parameters[0] * scores + parameters[1]
            total += np.mean(np.logaddexp(0.0, ratios) - target * ratios)
            off = expit(ratios) - target
            gradient += [np.mean(off * scores), np.mean(off)]
        return float(total), gradient

    found = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS")
    return float(found.x[0]), float(found.x[1])


def cross_validated_cllr(mated: Floats, non_mated: Floats, folds: tuple[Integers, Integers]) -> float | None:
    """Return the mean Cllr over folds of scores that the map was not fitted to; None where there are too few people.

    Args:
        mated: Mated scores, shape (n,).
        non_mated: Non-mated scores, shape (m,).
        folds: The fold of each mated score, shape (n,), and those of both people of each non-mated one, (m, 2).
    """
    mine, theirs = folds
    figures = []
    for fold in np.unique(mine):
        held, touched = mine == fold, (theirs == fold).any(axis=1)
        if held.all() or touched.all() or not touched.any():
            continue
        knots = fitted(mated[~held], non_mated[~touched])
        figures.append(cllr(at(knots, mated[held]), at(knots, non_mated[touched])))
    return float(np.mean(figures)) if figures else None


def _isotonic(mated: Floats, non_mated: Floats) -> tuple[Floats, Floats]:
    """Pool adjacent violators, both kinds weighing the same; one more of each at the ends keeps ratios finite."""
    low, high = min(mated.min(), non_mated.min()), max(mated.max(), non_mated.max())
    scores, weights, hits = _by_score(np.append(mated, low), np.append(non_mated, high), weigh=True)
    posterior = isotonic_regression(hits / weights, weights=weights).x
    ratios = np.log(posterior) - np.log1p(-posterior)
    # The two ends of every step are enough.
    ends = np.flatnonzero(np.diff(ratios, prepend=np.nan) != 0)
    keep = np.unique(np.concatenate([ends, ends[1:] - 1, [len(ratios) - 1]]))
    return scores[keep], ratios[keep]


def _by_score(mated: Floats, non_mated: Floats, *, weigh: bool) -> tuple[Floats, Floats, Floats]:
    """Return every score once, with the weight that lies on it and that of the mated ones among it."""
    scores, place = np.unique(np.concatenate([mated, non_mated]), return_inverse=True)
    is_mated = np.arange(len(place)) < len(mated)
    each = np.where(is_mated, 1 / len(mated), 1 / len(non_mated)) if weigh else np.ones(len(place))
    return scores, np.asarray(np.bincount(place, each), float), np.asarray(np.bincount(place, each * is_mated), float)
