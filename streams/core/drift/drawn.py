"""A chart as it is shown: everything that is known of it, the same bytes for the same samples."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_core import from_json

from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart, Kind
from streams.core.drift.fold import Point
from streams.core.drift.notices import start_of
from streams.core.drift.plan import Plan

#: Of a message, what tells of its history and not of the samples.
_HISTORY = ("version", "change", "revision")


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
        found = [each for each in self._messages("alert_id") if each["active"] or "cleared" in _over(each)]
        return sorted(found, key=lambda each: (each.get("raised_step", 0), each.get("raised", ""), each["statistic"]))

    @property
    def steps(self) -> list[dict[str, Any]]:
        """What is advised at each step of a training run, in order."""
        return sorted(self._messages("advice"), key=lambda each: int(each["step"]))

    def _messages(self, having: str) -> list[dict[str, Any]]:
        messages: Sequence[dict[str, Any]] = [from_json(one) for one in self.said]
        return [_without(each, _HISTORY) for each in messages if having in each]

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


def _over(alert: Mapping[str, Any]) -> str:
    """Return the names of what says that an alert was raised and is over; one that is no more has none of them."""
    return " ".join(name for name in alert if name.startswith("cleared"))


def _without(message: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
    return {name: value for name, value in message.items() if name not in names}


def _described(calibration: Calibration) -> dict[str, Any]:
    return {"through": calibration.through, "scores": calibration.scores, "spread": calibration.spread}


def _point(chart: Chart, point: Point, plan: Plan) -> dict[str, Any]:
    place: dict[str, Any] = {"step": point.window}
    if chart.kind is not Kind.RUN:
        place = {"from": start_of(point.first, plan), "until": start_of(point.window + 1, plan)}
        place = {name: moment.isoformat() for name, moment in place.items()}
    values = {name: standing.value for name, standing in point.standings.items()}
    return {**place, "samples": point.samples, "z": point.z, "ewma": point.ewma, **values}
