"""Streams of samples with a known law, and the product's own chart that reads them window by window."""

from collections.abc import Iterator
from functools import cached_property

import numpy as np

from streams.core.drift.alert import Alert
from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart, Kind, Observation
from streams.core.drift.fold import Control, Point, fold
from streams.core.drift.limits import cusum_limit
from streams.core.drift.plan import STATISTICS, Plan
from tests.bench.drift.pool import Scores

IDENTITY = "synthetic-01"
#: A training run: each step is a window.
CHART = Chart(Kind.RUN, run="ladder")
#: Samples in a window.
EACH = 5


class KnownPlan(Plan):
    """A plan whose limit is the one of the published tables: for a law that is known."""

    @cached_property
    def cusum_limit(self) -> float:
        """Return the limit at which one statistic of one chart runs for ``arl`` windows."""
        return cusum_limit(self.arl, k=self.k)


def plan_of(arl: float, calibration: int) -> Plan:
    """Return a plan under which one statistic of one chart runs for so many windows, for so many scores known."""
    return Plan(calibration=calibration, charts=1, windows_between_false_alarms=arl / STATISTICS)


def known_plan_of(arl: float, calibration: int) -> Plan:
    """Return the same where what is known is the law."""
    return KnownPlan(calibration=calibration, charts=1, windows_between_false_alarms=arl / STATISTICS)


def observed(step: int, scores: Scores) -> list[Observation]:
    """Return samples of one step with these scores."""
    return [
        Observation(CHART, step, f"{step:08}-{place:08}", step, IDENTITY, score, None, ())
        for place, score in enumerate(scores.tolist())
    ]


def calibrated(scores: Scores) -> Calibration:
    """Return what is known of a stream in control from these scores, in windows like all others."""
    cut = [scores[begin : begin + EACH] for begin in range(0, len(scores), EACH)]
    steps = range(-len(cut), 0)
    return Calibration.of([one for step, part in zip(steps, cut, strict=True) for one in observed(step, part)], -1)


def drawn(course: Iterator[Scores], rng: np.random.Generator) -> Iterator[list[Observation]]:
    """Draw the samples of one step after another, each from its law on the course."""
    for step, law in enumerate(course):
        yield observed(step, rng.choice(law, EACH))


def charted(windows: Iterator[list[Observation]], control: Control) -> Iterator[tuple[Point, Alert | None]]:
    """Go on with the chart window by window: its point, and the alert on a fall that the window raised."""
    before: Point | None = None
    for window in windows:
        folded = fold(CHART, window, before, control)
        before = folded.points[-1]
        raised = [one for one in folded.alerts if one.statistic == "fall" and one.raised == before.window]
        yield before, raised[0] if raised else None
