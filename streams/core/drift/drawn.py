"""A chart as it is shown: everything that is known of it, the same bytes for the same samples."""

from dataclasses import dataclass
from typing import Any

from streams import topics
from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart, Kind
from streams.core.drift.fold import Point
from streams.core.drift.notices import Notice, start_of, supported
from streams.core.drift.plan import Plan
from streams.events import Body, DriftAlerted, TrainingAdvised


@dataclass(frozen=True)
class Drawn:
    """One chart, as it is held."""

    chart: Chart
    calibration: Calibration | None
    """None while samples in control are still gathered."""
    baseline: int | None
    """The first window that says what is in control, where somebody has set it; points before it are history."""
    points: tuple[Point, ...]
    said: tuple[Notice, ...]
    """The last on each alert, and on each training step."""

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that the samples support, the newest last."""
        held = [DriftAlerted.model_validate_json(one.body) for one in self._said(topics.DRIFT_ALERTS)]
        found = [_shown(one, "change") for one in held if supported(one)]
        return sorted(found, key=lambda each: (each.get("raised_step", 0), each.get("raised", ""), each["statistic"]))

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What is advised at each step of a training run, in order."""
        held = [TrainingAdvised.model_validate_json(one.body) for one in self._said(topics.TRAINING_FEEDBACK)]
        return [_shown(one) for one in sorted(held, key=lambda each: each.step)]

    def _said(self, topic: topics.Topic) -> list[Notice]:
        return [one for one in self.said if one.topic == topic.name]

    def as_dict(self, plan: Plan) -> dict[str, Any]:
        """Return everything, as JSON takes it."""
        chart, calibration = self.chart, self.calibration
        return {
            "kind": chart.kind.value,
            "model": chart.model or None,
            "model_version": chart.version or None,
            "identity": chart.identity or None,
            "run_id": chart.run or None,
            "embedding_space": Chart.space_of(chart.scope),
            "baseline": None if self.baseline is None else start_of(self.baseline, plan).isoformat(),
            "calibration": None if calibration is None else _described(calibration),
            "limit": plan.cusum_limit,
            "points": [_point(chart, point, plan) for point in self.points],
            "alerts": self.alerts,
            "steps": self.steps,
        }


def _shown(told: Body, *history: str) -> dict[str, Any]:
    """Return what was said, without what tells of its history and not of the samples."""
    return told.model_dump(mode="json", exclude={"version", "revision", *history}, exclude_none=True)


def _described(calibration: Calibration) -> dict[str, Any]:
    return {"through": calibration.through, "scores": calibration.scores, "spread": calibration.spread}


def _point(chart: Chart, point: Point, plan: Plan) -> dict[str, Any]:
    place: dict[str, Any] = {"step": point.window}
    if chart.kind is not Kind.RUN:
        place = {"from": start_of(point.first, plan), "until": start_of(point.window + 1, plan)}
        place = {name: moment.isoformat() for name, moment in place.items()}
    values = {str(name): standing.value for name, standing in point.standings.items()}
    return {**place, "samples": point.samples, "z": point.z, "ewma": point.ewma, **values}
