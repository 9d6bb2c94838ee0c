"""From comparisons to what a policy says of them: operating points, the table of rates, the likelihood ratio."""

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from streams.core.biometrics import likelihood
from streams.core.biometrics.comparisons import NOBODY, Comparisons, Integers
from streams.core.biometrics.rates import STEP, Det, eer, fmr_at, fnmr_at, rates_at, rule_of_three, threshold_at_fmr
from streams.core.biometrics.resampling import Interval, intervals
from streams.core.biometrics.tail import Tail
from streams.core.calibration import LikelihoodRatio, OperatingPoint, Rates
from streams.core.similarity import DECIMALS

#: Steps of the table of rates.
_GRID = 0.01
#: People are dealt into so many folds to judge a likelihood ratio by scores that it was not fitted to.
_FOLDS = 5


@dataclass(frozen=True)
class Place:
    """A similarity that keeps a target."""

    target: str
    similarity: float
    extrapolated: bool = False
    """The comparisons are too few to show the target."""
    by_tail: bool = False
    """A fitted tail says where it is kept; where none could be fitted, nothing does."""

    @property
    def how(self) -> str:
        """Where the number comes from, in words."""
        if not self.extrapolated:
            return "measured"
        if self.by_tail:
            return "extrapolated by a fitted tail"
        return "not known: just above the nearest non-mated comparison, of which there are too few to fit a tail"


def place_fmr(
    target: str, fmr: float, curve: Det, fitted: Tail | None, non_mated: int, *, highest: float = 1.0
) -> Place:
    """Return the smallest similarity with at most this FMR; by the fitted tail where it is under 3/n.

    ``highest`` is the highest that there can be: infinite for normalised scores.
    """
    measured = min(highest, threshold_at_fmr(curve, fmr))
    if fmr >= rule_of_three(non_mated):
        return Place(target, measured)
    # Never below the nearest of the non-mated ones that were seen, whatever the tail says.
    if fitted is None or fmr >= fitted.reached:
        return Place(target, measured, extrapolated=True)
    beyond = math.ceil(fitted.threshold(fmr) / STEP) * STEP
    return Place(target, min(highest, max(measured, beyond)), extrapolated=True, by_tail=True)


def operating_points(
    places: Sequence[Place], comparisons: Comparisons, curve: Det, fitted: Tail | None, *, times: int, seed: int
) -> tuple[tuple[OperatingPoint, ...], Interval]:
    """Return both error rates at each place with their 95 % intervals, and the interval of the equal error rate."""
    figures: dict[str, Callable[[Det], float]] = {"eer": eer}
    for place in places:
        figures[f"{place.target} fmr"] = partial(fmr_at, threshold=place.similarity)
        figures[f"{place.target} fnmr"] = partial(fnmr_at, threshold=place.similarity)
    found = intervals(comparisons, figures, times=times, seed=seed)
    points = []
    for place in places:
        fmr, fnmr = rates_at(curve, place.similarity)
        fmr_interval = widened(fmr, found[f"{place.target} fmr"], len(comparisons.non_mated))
        if place.extrapolated and fitted is not None:
            fmr = min(fitted.rate(place.similarity), fmr_interval[1])
        points.append(
            OperatingPoint(
                target=place.target,
                similarity=round(place.similarity, DECIMALS),
                fmr=short(fmr),
                fmr_interval=fmr_interval,
                fnmr=short(fnmr),
                fnmr_interval=widened(fnmr, found[f"{place.target} fnmr"], len(comparisons.mated)),
                extrapolated=place.extrapolated,
            )
        )
    return tuple(points), found["eer"]


def table(curve: Det, comparisons: Comparisons, *, step: float = _GRID, highest: float = 1.0) -> Rates:
    """Return both rates in steps. No FMR is below 3/n: a verdict must not claim what was not measured."""
    low = min(float(comparisons.mated.min()), float(np.median(comparisons.non_mated)))
    first, last = math.floor(low / step), math.ceil(float(curve.thresholds[-1]) / step)
    grid = [round(place * step, 2) for place in range(first, last + 1) if -highest <= place * step <= highest]
    rates = [rates_at(curve, similarity) for similarity in grid]
    floor = rule_of_three(len(comparisons.non_mated))
    return Rates(
        similarity=tuple(grid),
        fmr=tuple(short(max(fmr, floor)) for fmr, _ in rates),
        fnmr=tuple(short(fnmr) for _, fnmr in rates),
    )


def likelihood_ratio(comparisons: Comparisons) -> LikelihoodRatio:
    """Return the map from similarity to log-likelihood ratio, and what it is worth."""
    scores, ratios = likelihood.fitted(comparisons.mated, comparisons.non_mated)
    folds = _fold(comparisons.mated_subjects), _fold(comparisons.non_mated_subjects)
    cost = likelihood.cross_validated_cllr(comparisons.mated, comparisons.non_mated, folds)
    return LikelihoodRatio(
        similarity=tuple(round(float(score), DECIMALS) for score in scores),
        log_ratio=tuple(round(float(ratio), 3) for ratio in ratios),
        cllr=None if cost is None else round(cost, 4),
        min_cllr=round(likelihood.min_cllr(comparisons.mated, comparisons.non_mated), 4),
    )


def digest(comparisons: Comparisons) -> str:
    """Return the SHA-256 over all scores, in whatever order they came."""
    hashed = hashlib.sha256()
    for scores in (comparisons.mated, comparisons.non_mated):
        hashed.update(np.sort(scores).astype("<f8").tobytes())
    return hashed.hexdigest()


def _fold(subjects: Integers) -> Integers:
    return np.asarray(np.where(subjects == NOBODY, NOBODY, subjects % _FOLDS), dtype=np.intp)


def widened(rate: float, interval: Interval, comparisons: int) -> Interval:
    """Return the interval; where no error was seen no draw has one, and it reaches up to 3/n. So too from 1 down."""
    low, high = interval
    unseen = rule_of_three(comparisons)
    low, high = (min(low, 1 - unseen) if rate == 1 else low), (max(high, unseen) if rate == 0 else high)
    return short(min(low, rate)), short(max(high, rate))


def short(rate: float) -> float:
    return float(f"{rate:.4g}")
