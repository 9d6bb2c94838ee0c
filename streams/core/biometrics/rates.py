"""False match and false non-match rates over every threshold, and the figures that are read off them.

FMR(t) is the share of non-mated comparisons with similarity ≥ t, FNMR(t) the share of mated ones with similarity < t
(ISO/IEC 19795-1:2021). Both are of comparisons that were made: failures to acquire are counted apart.
"""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np

from streams.core.biometrics.comparisons import Floats, Integers
from streams.core.similarity import DECIMALS

#: The unit of similarities: a limit is a multiple of it.
STEP = 10.0**-DECIMALS


@dataclass(frozen=True, eq=False)
class Det:
    """Detection error trade-off: both error rates at every threshold where one of them changes."""

    thresholds: Floats
    """Shape (t,), ascending; the last is above every score."""
    fmr: Floats
    """Shape (t,), falling from 1 to 0."""
    fnmr: Floats
    """Shape (t,), rising from 0 to 1."""


def det(mated: Floats, non_mated: Floats) -> Det:
    """Return the error rates of scores, each of shape (n,).

    Raises:
        ValueError: If there are no mated or no non-mated scores.
    """
    thresholds = thresholds_of(mated, non_mated)
    counted = partial(np.bincount, minlength=len(thresholds))
    return of_counts(
        thresholds, counted(np.searchsorted(thresholds, mated)), counted(np.searchsorted(thresholds, non_mated))
    )


def thresholds_of(mated: Floats, non_mated: Floats) -> Floats:
    """Return every score once, ascending, and one threshold above them all."""
    if not len(mated) or not len(non_mated):
        raise ValueError(
            f"expected mated and non-mated comparisons, got {len(mated)} and {len(non_mated)}:"
            " two people at least, one of them with two images"
        )
    scores = np.unique(np.concatenate([mated, non_mated]))
    return np.append(scores, round(scores[-1] + STEP, DECIMALS))


def of_counts(thresholds: Floats, mated: Floats | Integers, non_mated: Floats | Integers) -> Det:
    """Return the error rates of so many mated and non-mated scores, or their weights, at each threshold."""
    below = np.cumsum(mated) - mated
    reaching = np.cumsum(non_mated[::-1])[::-1]
    return Det(thresholds, reaching / non_mated.sum(), below / mated.sum())


def rates_at(curve: Det, threshold: float) -> tuple[float, float]:
    """Return FMR and FNMR at any threshold."""
    place = int(np.searchsorted(curve.thresholds, threshold - STEP / 100))
    if place == len(curve.thresholds):
        return 0.0, 1.0
    return float(curve.fmr[place]), float(curve.fnmr[place])


def fmr_at(curve: Det, threshold: float) -> float:
    """Return the false match rate at any threshold."""
    return rates_at(curve, threshold)[0]


def fnmr_at(curve: Det, threshold: float) -> float:
    """Return the false non-match rate at any threshold."""
    return rates_at(curve, threshold)[1]


def tmr_at_fmr(curve: Det, fmr: float) -> float:
    """Return the true match rate, 1 - FNMR, at the smallest threshold with at most this false match rate."""
    return 1 - fnmr_at(curve, threshold_at_fmr(curve, fmr))


def threshold_at_fmr(curve: Det, fmr: float) -> float:
    """Return the smallest threshold, a multiple of ``STEP``, at which the false match rate is at most ``fmr``.

    >>> scores = np.array([0.1, 0.2, 0.3, 0.9])
    >>> threshold_at_fmr(det(scores, scores), 0.25)
    0.3001
    """
    above = int((curve.fmr > fmr).sum())
    return float(curve.thresholds[0]) if above == 0 else round(float(curve.thresholds[above - 1]) + STEP, DECIMALS)


def eer(curve: Det) -> float:
    """Return the equal error rate: where the line through the operating points meets FMR = FNMR."""
    place = int(np.argmax(curve.fnmr >= curve.fmr))
    gap = curve.fnmr[place] - curve.fmr[place]
    before = curve.fmr[place - 1] - curve.fnmr[place - 1]
    # The first threshold has FMR 1 and FNMR 0, so there is a point before.
    share = before / (before + gap)
    return float(curve.fmr[place - 1] + share * (curve.fmr[place] - curve.fmr[place - 1]))


def auc(curve: Det) -> float:
    """Return the area under the ROC: the chance that a mated score is above a non-mated one, ties counted as half."""
    tmr = 1.0 - curve.fnmr
    return float(((curve.fmr[:-1] - curve.fmr[1:]) * (tmr[:-1] + tmr[1:]) / 2).sum())


def accuracy_best(curve: Det, mated: float, non_mated: float, always: float = 0.0) -> tuple[float, float]:
    """Return the highest accuracy that any threshold gives, and the middle of the thresholds that give it.

    Args:
        curve: The error rates.
        mated: Weight of the mated comparisons: their share of all, or 0.5 for the balanced accuracy.
        non_mated: Weight of the non-mated ones.
        always: Share that is right at every threshold: non-mated attempts that failed to acquire.
    """
    right = mated * (1.0 - curve.fnmr) + non_mated * (1.0 - curve.fmr) + always
    best = int(np.argmax(right))
    low = curve.thresholds[best - 1] if best else curve.thresholds[0]
    # Rounded up: a limit at the score below would let it match.
    middle = math.ceil(float(low + curve.thresholds[best]) / 2 / STEP - 1e-6) * STEP
    return float(right[best]), round(middle, DECIMALS)


def fpir(fmr: float, gallery: int) -> float:
    """Return the chance that a search of ``gallery`` strangers to the probe finds somebody: 1 - (1 - FMR)^N."""
    return float(-np.expm1(gallery * np.log1p(-fmr))) if fmr < 1 else 1.0


def fmr_for(fpir: float, gallery: int) -> float:
    """Return the false match rate a comparison that keeps a search of ``gallery`` people at ``fpir``: the inverse."""
    return float(-np.expm1(np.log1p(-fpir) / gallery))


def rule_of_three(comparisons: int) -> float:
    """Return the 95 % upper bound of a rate without an error in so many independent comparisons, about 3/n."""
    return float(1.0 - 0.05 ** (1.0 / comparisons))
