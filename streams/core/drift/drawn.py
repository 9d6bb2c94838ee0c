"""A chart as it is shown: everything that is known of it, the same bytes for the same samples."""

from dataclasses import dataclass
from typing import Any

from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart, Kind
from streams.core.drift.fold import Point
from streams.core.drift.notices import start_of, supported
from streams.core.drift.plan import Plan
from streams.events import DriftAlerted, TrainingAdvised

#: Of a message, what tells of its history and not of the samples.
_HISTORY = ("version", "revision")


@dataclass(frozen=True)
class Drawn:
    """One chart, as it is held."""

    chart: Chart
    calibration: Calibration | None
    """None while samples in control are still gathered."""
    points: tuple[Point, ...]
    said: tuple[str, ...]
    """The last message on each alert, and on each training step, as JSON."""

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """Every alert that the samples support, the newest last."""
        held = [DriftAlerted.model_validate_json(one) for one in self.said if '"alert_id"' in one]
        found = [
            one.model_dump(mode="json", exclude={*_HISTORY, "change"}, exclude_none=True)
            for one in held
            if supported(one)
        ]
        return sorted(found, key=lambda each: (each.get("raised_step", 0), each.get("raised", ""), each["statistic"]))

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What is advised at each step of a training run, in order."""
        held = [TrainingAdvised.model_validate_json(one) for one in self.said if '"advice"' in one]
        found = [one.model_dump(mode="json", exclude={*_HISTORY}, exclude_none=True) for one in held]
        return sorted(found, key=lambda each: int(each["step"]))

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
            "calibration": None if calibration is None else _described(calibration),
            "limit": plan.cusum_limit,
            "points": [_point(chart, point, plan) for point in self.points],
            "alerts": self.alerts,
            "steps": self.steps,
        }


def _described(calibration: Calibration) -> dict[str, Any]:
    return {"through": calibration.through, "scores": calibration.scores, "spread": calibration.spread}


def _point(chart: Chart, point: Point, plan: Plan) -> dict[str, Any]:
    place: dict[str, Any] = {"step": point.window}
    if chart.kind is not Kind.RUN:
        place = {"from": start_of(point.first, plan), "until": start_of(point.window + 1, plan)}
        place = {name: moment.isoformat() for name, moment in place.items()}
    values = {str(name): standing.value for name, standing in point.standings.items()}
    return {**place, "samples": point.samples, "z": point.z, "ewma": point.ewma, **values}
