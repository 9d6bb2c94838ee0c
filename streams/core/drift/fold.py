"""From a chart's windows, in order, to its points and its alerts. A fold: it goes on from any point."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from pydantic import BaseModel, ConfigDict

from streams.core.drift import statistics
from streams.core.drift.alert import Alert, Mover, Statistic
from streams.core.drift.calibration import PART_OF_CALIBRATION, Calibration, joined
from streams.core.drift.chart import Chart, Kind, Observation
from streams.core.drift.plan import Plan
from streams.core.drift.whitening import Whitening
from streams.core.faces import Embedding

#: Samples that an alert names.
MOVERS = 5

_SIGN: dict[Statistic, float] = {"fall": -1.0, "rise": 1.0}


class Standing(BaseModel):
    """Where one statistic stands after a window."""

    model_config = ConfigDict(frozen=True)

    value: float = 0.0
    since: int | None = None
    """The first window since the value was last 0; None while it is."""
    movers: tuple[Mover, ...] = ()
    alert: Alert | None = None
    """The one that stands."""


class Point(BaseModel):
    """One point of a chart: what the window said, and where the chart stands after it."""

    model_config = ConfigDict(frozen=True)

    first: int
    """The first of the windows that were joined to have enough samples."""
    window: int
    """The last of them."""
    samples: int
    z: float
    ewma: float
    vector: tuple[float, ...] = ()
    """Of the MEWMA."""
    standings: dict[Statistic, Standing]


@dataclass(frozen=True)
class Folded:
    """What became of a chart."""

    points: tuple[Point, ...] = ()
    alerts: tuple[Alert, ...] = ()
    """Those raised in these windows, and those that stood before them."""


@dataclass(frozen=True, eq=False)
class Control:
    """What a chart is held against."""

    plan: Plan
    calibration: Calibration
    whitening: Whitening | None = None
    embeddings: Mapping[str, Embedding] = field(default_factory=dict)
    """By sample id, those that are needed and there."""


def fold(chart: Chart, observations: Sequence[Observation], before: Point | None, control: Control) -> Folded:
    """Go on with one chart.

    Args:
        chart: Which one.
        observations: All samples of its closed windows after ``before`` and after the calibration, in any order.
        before: Its last point before them; None where there is none.
        control: What it is held against.
    """
    groups, _ = joined(observations, control.calibration)
    point = before or _beginning(chart, groups[0][0].window if groups else 0, control)
    points: list[Point] = []
    standing = [one.alert for one in point.standings.values() if one.alert is not None]
    alerts = {(alert.raised, alert.statistic): alert for alert in standing}
    for group in groups:
        point, changed = _advance(point, group, control)
        points.append(point)
        alerts |= {(alert.raised, alert.statistic): alert for alert in changed}
    return Folded(tuple(points), tuple(alerts[key] for key in sorted(alerts)))


def _beginning(chart: Chart, window: int, control: Control) -> Point:
    """Return where a chart begins: one of a new model version halfway to its limit, to speak at once if it is worse."""
    new_version = chart.kind is Kind.IDENTITY and chart.key not in control.calibration.charts
    start = Standing(value=control.plan.cusum_limit / 2, since=window) if new_version else Standing()
    standings: dict[Statistic, Standing] = {"fall": start, "rise": start, "shift": Standing()}
    return Point(first=window, window=window, samples=0, z=0.0, ewma=0.0, standings=standings)


@dataclass(frozen=True)
class _Reading:
    """What one statistic reads in one window."""

    statistic: Statistic
    value: float
    limit: float
    over: bool
    """Whether an alert that stands is over."""
    first: int
    window: int
    scored: tuple[tuple[float, Observation], ...]
    """The window's samples with their normal scores."""

    def movers(self) -> list[Mover]:
        """Return the samples that moved it towards an alert; a shift has no side, so whatever is far out counts."""
        sign = _SIGN.get(self.statistic)
        moved = ((abs(z) if sign is None else sign * z, one) for z, one in self.scored)
        return [Mover(by=round(by, 6), sample_id=one.sample_id, identity=one.identity) for by, one in moved if by > 0]


def _advance(before: Point, group: Sequence[Observation], control: Control) -> tuple[Point, list[Alert]]:
    """Return the point of the next window, and what it raises or clears."""
    weight, score = control.plan.weight, control.calibration.window(group)
    y = control.whitening.window(group, control.embeddings, control.calibration) if control.whitening else None
    vector = before.vector
    if y is not None:
        vector = statistics.mewma(vector if len(vector) == len(y) else (), y, weight=weight)
    standings: dict[Statistic, Standing] = {}
    changed: list[Alert] = []
    for reading in _readings(before, group, score.value, vector, control):
        standings[reading.statistic], alert = _stand(before.standings[reading.statistic], reading)
        changed += [alert] if alert is not None else []
    point = Point(
        first=group[0].window,
        window=group[-1].window,
        samples=score.scores,
        z=score.value,
        ewma=statistics.ewma(before.ewma, score.value, weight=weight),
        vector=vector,
        standings=standings,
    )
    return point, changed


def _readings(
    before: Point, group: Sequence[Observation], z: float, vector: tuple[float, ...], control: Control
) -> Iterator[_Reading]:
    plan, windows = control.plan, (group[0].window, group[-1].window)
    scores = ((control.calibration.normal_score(one), one) for one in group)
    scored = tuple((score, one) for score, one in scores if score is not None)
    for statistic, sign in _SIGN.items():
        value = statistics.cusum(before.standings[statistic].value, sign * z, k=plan.k, limit=plan.cusum_limit)
        yield _Reading(statistic, value, plan.cusum_limit, value == 0, *windows, scored)
    t2 = statistics.t_squared(vector, weight=plan.weight, error=1 / PART_OF_CALIBRATION)
    limit = plan.shift_limit(len(vector)) if vector else 0.0
    yield _Reading("shift", t2, limit, t2 <= limit / 2, *windows, scored)


def _stand(old: Standing, reading: _Reading) -> tuple[Standing, Alert | None]:
    """Return where a statistic stands after a window, and its alert where that is raised or cleared now."""
    if reading.over:
        cleared = old.alert.model_copy(update={"cleared": reading.window}) if old.alert else None
        return Standing(value=reading.value), cleared
    since = reading.first if old.since is None else old.since
    moved = sorted((*old.movers, *reading.movers()), key=lambda one: (-one.by, one.sample_id))[:MOVERS]
    raised = None
    if old.alert is None and reading.value > reading.limit:
        raised = Alert(
            statistic=reading.statistic,
            raised=reading.window,
            since=since,
            value=reading.value,
            limit=reading.limit,
            samples=len(reading.scored),
            moved_by=tuple(moved),
        )
    return Standing(value=reading.value, since=since, movers=tuple(moved), alert=old.alert or raised), raised
