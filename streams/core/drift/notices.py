"""What is told of charts and steps: only changes, each with an id that the same history always gives."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from streams import topics
from streams.core.drift.advice import advise
from streams.core.drift.alert import Alert
from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart, Kind
from streams.core.drift.plan import Plan
from streams.core.drift.training import StepMetrics
from streams.core.ids import alert_id, feedback_id
from streams.core.records import Record
from streams.events import Body, DriftAlerted, MovedBy, TrainingAdvised, cloud_event, to_json

#: ``ce_source`` of every alert and every feedback.
SOURCE = "/likeness/monitor"

_BODIES: dict[str, type[Body]] = {
    topics.DRIFT_ALERTS.name: DriftAlerted,
    topics.TRAINING_FEEDBACK.name: TrainingAdvised,
}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Notice:
    """The last that was said of one subject."""

    subject: str
    """Id of an alert, or of one step's feedback."""
    topic: str
    window: int
    """In which the alert was raised, or the step."""
    revision: int
    body: str
    """The JSON that was published."""

    def record(self, now: datetime) -> Record:
        """Return what is published; ``now`` is when it was found out."""
        content = _BODIES[self.topic].model_validate_json(self.body)
        headers = cloud_event(content, id=f"{self.subject}-{self.revision}", source=SOURCE, time=now)
        return Record(self.topic, self.subject.encode(), self.body.encode(), headers, now)


def alert_notices(
    alerts: Iterable[tuple[Chart, Alert]], said: Sequence[Notice], plan: Plan, calibration: Calibration | None
) -> list[Notice]:
    """Return what is to be said of alerts: raised, cleared, and revised where late samples changed their story.

    Args:
        alerts: Every alert as it is now, of the windows that were looked at.
        said: What was last said of them, and of those that are no more.
        plan: Gives the windows their times.
        calibration: What the charts are held against; None where they have no points any more.
    """
    last = {one.subject: one for one in said if one.topic == topics.DRIFT_ALERTS.name}
    told = []
    now: set[str] = set()
    for chart, alert in alerts:
        subject = alert_id(chart.key, alert.statistic, alert.raised)
        now.add(subject)
        content = _alert(subject, chart, alert, plan, calibration)
        told += _changes(subject, alert.raised, content, last.get(subject))
    for subject, one in sorted(last.items()):
        before = DriftAlerted.model_validate_json(one.body)
        if subject not in now and supported(before):
            nothing = {"active": False, "cleared": None, "cleared_step": None}
            body = before.model_copy(update={**nothing, "change": "revised", "revision": one.revision + 1})
            told.append(_notice(subject, one.window, body))
    return told


def supported(alert: DriftAlerted) -> bool:
    """Say whether the samples that are known bear an alert out: one that neither stands nor is over is void."""
    return alert.active or alert.cleared is not None or alert.cleared_step is not None


def _changes(subject: str, window: int, content: dict[str, Any], last: Notice | None) -> list[Notice]:
    """Return the steps from what was last said to what is so now: at most a raising and a clearing."""
    over = not content["active"]
    if last is None:
        raised = {**content, "active": True, "cleared": None, "cleared_step": None}
        bodies = [DriftAlerted(**raised, change="raised", revision=1)]
        bodies += [DriftAlerted(**content, change="cleared", revision=2)] if over else []
        return [_notice(subject, window, body) for body in bodies]
    before = DriftAlerted.model_validate_json(last.body)
    same = DriftAlerted(**content, change=before.change, revision=before.revision)
    if to_json(same) == last.body.encode():
        return []
    ended = before.model_copy(update={name: getattr(same, name) for name in ("active", "cleared", "cleared_step")})
    change = "cleared" if before.active and over and ended == same else "revised"
    return [_notice(subject, window, DriftAlerted(**content, change=change, revision=before.revision + 1))]


def _notice(subject: str, window: int, body: DriftAlerted | TrainingAdvised) -> Notice:
    topic = topics.DRIFT_ALERTS if isinstance(body, DriftAlerted) else topics.TRAINING_FEEDBACK
    return Notice(subject, topic.name, window, body.revision, to_json(body).decode())


def _alert(subject: str, chart: Chart, alert: Alert, plan: Plan, calibration: Calibration | None) -> dict[str, Any]:
    """Return everything that is said of an alert but ``change`` and ``revision``."""
    scores = calibration.scores if calibration else 0
    places: dict[str, Any]
    if chart.kind is Kind.RUN:
        places = {"since_step": alert.since, "raised_step": alert.raised, "cleared_step": alert.cleared}
    else:
        places = {"since": start_of(alert.since, plan), "raised": start_of(alert.raised + 1, plan)}
        places["cleared"] = None if alert.cleared is None else start_of(alert.cleared + 1, plan)
    return {
        "alert_id": subject,
        "active": alert.cleared is None,
        "statistic": alert.statistic,
        "kind": chart.kind.value,
        "model": chart.model or None,
        "model_version": chart.version or None,
        "identity": chart.identity or None,
        "run_id": chart.run or None,
        "value": alert.value,
        "limit": alert.limit,
        "samples": alert.samples,
        "moved_by": tuple(MovedBy(sample_id=m.sample_id, identity=m.identity, by=m.by) for m in alert.moved_by),
        "calibration": scores,
        "provisional": plan.provisional,
        "windows_between_false_alarms": plan.windows_between_false_alarms,
        **places,
    }


def start_of(window: int, plan: Plan) -> datetime:
    """Return when a window by time begins."""
    return _EPOCH + timedelta(seconds=window * plan.window_seconds)


def step_notices(
    scope: str,
    steps: Sequence[tuple[int, StepMetrics]],
    said: Sequence[Notice],
    begin: int,
    open_from: int,
) -> list[Notice]:
    """Return the feedback on the steps from ``begin`` on, where it is not what was last said.

    Args:
        scope: The run's.
        steps: Every step of the run, in order.
        said: What was last said of those from ``begin`` on.
        begin: The first that may have changed.
        open_from: The newest step; those before it are complete.
    """
    last = {one.subject: one for one in said if one.topic == topics.TRAINING_FEEDBACK.name}
    run_id = Chart.run_of(scope)
    told = []
    for place, (step, metrics) in enumerate(steps):
        if step < begin:
            continue
        subject = feedback_id(scope, step)
        before = last.get(subject)
        found = advise(steps[: place + 1])
        body = TrainingAdvised(
            run_id=run_id,
            step=step,
            revision=before.revision if before else 1,
            complete=step < open_from,
            advice=found.advice,
            reason=found.reason,
            best_step=found.best_step,
            embedding_space=Chart.space_of(scope),
            **metrics.model_dump(),
        )
        if before is None:
            told.append(_notice(subject, step, body))
        elif to_json(body) != before.body.encode():
            told.append(_notice(subject, step, body.model_copy(update={"revision": before.revision + 1})))
    return told
