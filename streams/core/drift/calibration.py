"""What a stream looked like in control: frozen scores, against which every later sample has a normal score.

Similarities are skewed, and a chart whose run lengths are computed for normal values would speak far too often on
them: at a skewness of one after 146 windows where 335 are promised. The rank of a sample among the calibration scores
of its identity, as a normal quantile, is normal whatever the law of the similarities.
"""

import json
import math
from bisect import bisect_left, bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from statistics import NormalDist

from streams.core.drift.chart import Observation

#: An identity with fewer calibration scores is compared with all such identities together.
FEWEST_OF_ONE = 10
#: Under this name lie the scores of those identities.
TOGETHER = ""
#: A window with fewer scores is joined to the next one.
FEWEST_IN_WINDOW = 5
#: A window weighs at most as much as so large a part of the calibration.
PART_OF_CALIBRATION = 25
#: A calibration of fewer scores is called provisional.
FEWEST_SCORES = 50

#: Fewer windows say nothing about how much they vary.
_FEWEST_WINDOWS = 10
_NORMAL = NormalDist()


@dataclass(frozen=True)
class WindowScore:
    """What a window says in one number."""

    value: float
    """Z: its mean normal score, so scaled that it varies by 1 at most in control; negative where similarity fell."""
    scores: int


@dataclass(frozen=True)
class Calibration:
    """Scores in control, sorted, by identity; those of identities that have few lie together."""

    through: int
    """The last window that is part of it."""
    charts: tuple[str, ...]
    """Those that had samples in it: any other one is of a new model version."""
    strata: Mapping[str, tuple[int, ...]]
    spread: float = 1.0
    """How much more windows vary than their samples explain: seeds and checkpoints have their effects too."""

    @staticmethod
    def of(observations: Sequence[Observation], through: int) -> "Calibration":
        """Return the calibration of these samples; in which order they come makes no difference."""
        by_identity: defaultdict[str, list[int]] = defaultdict(list)
        for one in observations:
            if one.score is not None:
                by_identity[one.identity].append(one.score)
        strata: defaultdict[str, list[int]] = defaultdict(list)
        for identity, scores in by_identity.items():
            strata[identity if len(scores) >= FEWEST_OF_ONE else TOGETHER] += scores
        charts = tuple(sorted({one.chart.key for one in observations}))
        plain = Calibration(through, charts, {name: tuple(sorted(strata[name])) for name in sorted(strata)})
        return replace(plain, spread=_spread(plain, observations))

    @cached_property
    def scores(self) -> int:
        """How many there are."""
        return sum(map(len, self.strata.values()))

    def stratum(self, identity: str) -> str:
        """Return with whom an identity is compared: with itself, or with all of whom little is known."""
        return identity if identity in self.strata else TOGETHER

    def normal_score(self, one: Observation) -> float | None:
        """Return the sample's normal score: below 0 where it is less similar than half of the calibration.

        u = (those below + half of those equal + 1/2) / (all + 1); the score is its normal quantile. None where the
        sample has no similarity, or where nothing is known to compare it with.
        """
        known = self.strata.get(self.stratum(one.identity))
        if not known or one.score is None:
            return None
        below, up_to = bisect_left(known, one.score), bisect_right(known, one.score)
        return _NORMAL.inv_cdf(((below + up_to) / 2 + 0.5) / (len(known) + 1))

    def window(self, observations: Iterable[Observation]) -> WindowScore:
        """Return what a window says: Z = (mean normal score) * sqrt(weight) / spread.

        The weight is the number of scores, but no more than a part of the calibration that stands behind them: of
        sum(p_s^2 / m_s)^-1 scores, where p_s is the share of stratum s in the window and m_s its calibration scores.
        """
        normal, strata = [], Counter[str]()
        for one in observations:
            if (z := self.normal_score(one)) is not None:
                normal.append(z)
                strata[self.stratum(one.identity)] += 1
        n = len(normal)
        if not n:
            return WindowScore(0.0, 0)
        weight = min(n, self.behind(strata) / PART_OF_CALIBRATION)
        return WindowScore(round(math.fsum(normal) / n * math.sqrt(weight) / self.spread, 6), n)

    def behind(self, strata: Mapping[str, int]) -> float:
        """Return how many calibration scores stand behind a window with so many samples of each stratum."""
        n = sum(strata.values())
        return 1 / math.fsum((count / n) ** 2 / len(self.strata[name]) for name, count in sorted(strata.items()))

    def to_json(self) -> str:
        """Return it as text; the same calibration always gives the same text."""
        content = {"through": self.through, "charts": self.charts, "strata": self.strata, "spread": self.spread}
        return json.dumps(content, separators=(",", ":"), sort_keys=True)

    @staticmethod
    def from_json(text: str) -> "Calibration":
        """Return what ``to_json`` wrote."""
        content = json.loads(text)
        strata = {name: tuple(scores) for name, scores in content["strata"].items()}
        return Calibration(content["through"], tuple(content["charts"]), strata, content["spread"])


def joined(
    observations: Iterable[Observation], calibration: Calibration | None = None
) -> tuple[list[list[Observation]], list[Observation]]:
    """Cut one chart's samples into windows, each with ``FEWEST_IN_WINDOW`` scores at least.

    Args:
        observations: Of closed windows, in any order.
        calibration: Whose normal scores count; where there is none, every similarity counts.

    Returns:
        The windows, and what is left over for the next one.
    """
    groups: list[list[Observation]] = []
    waiting: list[Observation] = []
    ordered = sorted(observations, key=lambda one: (one.window, one.sample_id))
    for place, one in enumerate(ordered):
        waiting.append(one)
        if place + 1 < len(ordered) and ordered[place + 1].window == one.window:
            continue
        if sum(_counts(each, calibration) for each in waiting) >= FEWEST_IN_WINDOW:
            groups.append(waiting)
            waiting = []
    return groups, waiting


def _counts(one: Observation, calibration: Calibration | None) -> bool:
    return one.score is not None if calibration is None else calibration.normal_score(one) is not None


def _spread(calibration: Calibration, observations: Sequence[Observation]) -> float:
    """Return the standard deviation of in-control windows beside what it should be; 1 where it may be that."""
    from scipy.special import chdtri  # loaded by those who chart, and by no other worker

    by_chart: defaultdict[str, list[Observation]] = defaultdict(list)
    for one in observations:
        by_chart[one.chart.key].append(one)
    squares = []
    for name in sorted(by_chart):
        for group in joined(by_chart[name], calibration)[0]:
            scores = [z for one in group if (z := calibration.normal_score(one)) is not None]
            squares.append(math.fsum(scores) ** 2 / len(scores))
    if len(squares) < _FEWEST_WINDOWS or math.fsum(squares) <= chdtri(len(squares), 0.05):
        return 1.0
    return round(math.sqrt(math.fsum(squares) / len(squares)), 6)
