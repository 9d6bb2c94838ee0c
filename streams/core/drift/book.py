"""One scope's page of the book of charts: what is known of it, and how new samples turn it.

A page holds what the samples that came since need, and no more: where each chart stands before them. Turning it is a
pure function, so whoever turns the same page comes to the same points, alerts and advice.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from streams.core.drift.alert import Alert
from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart, Kind, Observation
from streams.core.drift.fold import Control, Point, fold
from streams.core.drift.notices import Notice, alert_notices, step_notices
from streams.core.drift.plan import Plan
from streams.core.drift.training import StepMetrics, measure_step
from streams.core.drift.whitening import Whitening
from streams.core.faces import Embedding


@dataclass(frozen=True)
class Page:
    """A scope as it is held, before it is turned."""

    scope: str
    kind: Kind
    edition: int
    """Counts up with everything that is written to the scope: who turns an older page turns it in vain."""
    open_from: int
    """The first window that is not closed yet."""
    begin: int
    """The first window that is looked at anew; every point from here on is replaced."""
    calibration: Calibration | None
    """None where it is still to be made, from ``observations``."""
    calibrating: tuple[Observation, ...] = ()
    """The samples of ``calibration``, where embeddings are charted too."""
    observations: tuple[Observation, ...] = ()
    """Every sample that no kept point has: of all windows where nothing is calibrated yet."""
    before: Mapping[str, Point] = field(default_factory=dict)
    """The last point that is kept, by chart."""
    steps: tuple[tuple[int, StepMetrics], ...] = ()
    """Of a training run: every step before ``begin``."""
    notices: tuple[Notice, ...] = ()
    """What was last said of the windows from ``begin`` on, and of alerts that stood before."""

    @property
    def wanted(self) -> tuple[str, ...]:
        """The samples whose embeddings turn the page; one identity has too few for a chart of its own."""
        if self.kind is Kind.IDENTITY:
            return ()
        return tuple(sorted({one.sample_id for one in (*self.calibrating, *self.observations)}))

    @property
    def identities(self) -> tuple[str, ...]:
        """Those whose references a training step is compared with."""
        return tuple(sorted({one.identity for one in self.observations})) if self.kind is Kind.RUN else ()


@dataclass(frozen=True)
class Turned:
    """What is to be written in the place of what the page had from ``begin`` on."""

    page: Page
    calibration: Calibration | None
    points: Mapping[str, tuple[Point, ...]]
    """By chart."""
    steps: tuple[tuple[int, StepMetrics], ...]
    notices: tuple[Notice, ...]
    """What changed, and is to be told."""


def turn(
    page: Page,
    plan: Plan,
    embeddings: Mapping[str, Embedding],
    references: Mapping[str, Sequence[Embedding]],
) -> Turned:
    """Turn one page.

    Args:
        page: As it is held.
        plan: What is wanted of the charts.
        embeddings: Of ``page.wanted``, those that are there.
        references: By identity, of ``page.identities``.
    """
    calibration, calibrating = page.calibration, page.calibrating
    if calibration is None:
        calibration, calibrating = _calibrate(page, plan)
    by_chart: defaultdict[str, list[Observation]] = defaultdict(list)
    if calibration is not None:
        for one in page.observations:
            if calibration.through < one.window < page.open_from:
                by_chart[one.chart.key].append(one)
    points: dict[str, tuple[Point, ...]] = {}
    alerts: list[tuple[Chart, Alert]] = []
    if calibration is not None:
        whitening = None if page.kind is Kind.IDENTITY else Whitening.of(calibrating, embeddings, calibration)
        control = Control(plan, calibration, whitening, embeddings)
        for key in sorted({*by_chart, *page.before}):
            chart = Chart.of(key)
            folded = fold(chart, by_chart[key], page.before.get(key), control)
            points[key] = folded.points
            alerts += [(chart, alert) for alert in folded.alerts]
    steps = _steps(page, embeddings, references) if page.kind is Kind.RUN else ()
    told = alert_notices(alerts, page.notices, plan, calibration)
    if page.kind is Kind.RUN:
        told += step_notices(page.scope, [*page.steps, *steps], page.notices, page.begin, page.open_from)
    return Turned(page, calibration, points, steps, tuple(told))


def _calibrate(page: Page, plan: Plan) -> tuple[Calibration | None, tuple[Observation, ...]]:
    """Return the calibration and its samples: of the first closed windows that have enough scores together."""
    closed = sorted(
        (one for one in page.observations if one.window < page.open_from), key=lambda one: (one.window, one.sample_id)
    )
    scores = 0
    for place, one in enumerate(closed):
        scores += one.score is not None
        last = place + 1 == len(closed) or closed[place + 1].window != one.window
        if last and scores >= plan.calibration:
            return Calibration.of(closed[: place + 1], one.window), tuple(closed[: place + 1])
    return None, ()


def _steps(
    page: Page, embeddings: Mapping[str, Embedding], references: Mapping[str, Sequence[Embedding]]
) -> tuple[tuple[int, StepMetrics], ...]:
    by_step: defaultdict[int, list[Observation]] = defaultdict(list)
    for one in page.observations:
        if one.window >= page.begin:
            by_step[one.window].append(one)
    measured = []
    for step in sorted(by_step):
        names = sorted({one.identity for one in by_step[step]})
        theirs = {name: references.get(name, ()) for name in names}
        measured.append((step, measure_step(by_step[step], embeddings, theirs)))
    return tuple(measured)
