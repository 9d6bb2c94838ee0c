"""What is left of the charts when somebody was forgotten: those of others, and what everybody's samples came to."""

import json
from typing import Any

from sqlalchemy import Connection, and_, bindparam, case, delete, func, select, update

from streams import topics
from streams.adapters.ledger.charts.rows import charts, notices, outbox, points, samples, scopes, steps, told_ids
from streams.core.drift.calibration import FEWEST_IN_WINDOW, Calibration
from streams.core.drift.fold import Point
from streams.core.drift.forgotten import alert_without, calibration_without, point_without
from streams.core.erasure import names
from streams.events import DriftAlerted, to_json


def count_charted(connection: Connection, identity: str) -> int:
    """Return how many samples of a person are in any chart."""
    mine = select(func.count(samples.c.sample_id.distinct())).where(samples.c.identity == identity)
    return int(connection.execute(mine).scalar_one())


def scopes_with(connection: Connection, identity: str) -> list[str]:
    """Return the scopes that have samples of a person, or the name in their own."""
    found = set(connection.execute(select(samples.c.scope).where(samples.c.identity == identity).distinct()).scalars())
    named = select(charts.c.chart, charts.c.scope).where(charts.c.chart.contains(identity, autoescape=True))
    return sorted(found | {row.scope for row in connection.execute(named) if _is_named(row.chart, identity)})


def take_out(connection: Connection, scope: str, identity: str) -> None:
    """Delete a person's samples from a scope, and what shows them in its charts; the scope where nobody else is in it.

    Whoever turns a page of before turns it in vain: a worker that is at it reads it again.
    """
    held = connection.execute(select(scopes).where(scopes.c.scope == scope).with_for_update()).one_or_none()
    if held is None:
        return
    mine = and_(samples.c.scope == scope, samples.c.identity == identity)
    changed: dict[str, Any] = {"edition": held.edition + 1}
    if held.calibration:
        calibration = Calibration.from_json(held.calibration)
        within = [samples.c.window <= calibration.through, samples.c.score.is_not(None)]
        if held.baseline is not None:
            within.append(samples.c.window >= held.baseline)
        scores = connection.execute(select(samples.c.score).where(mine, *within)).scalars()
        changed["calibration"] = calibration_without(calibration, identity, scores).to_json()
    few = _steps_of_few(connection, scope, identity)
    connection.execute(delete(samples).where(mine))
    connection.execute(update(scopes).where(scopes.c.scope == scope).values(changed))
    keys = list(connection.execute(select(charts.c.chart).where(charts.c.scope == scope)).scalars())
    others = connection.execute(select(samples.c.sample_id).where(samples.c.scope == scope).limit(1)).first()
    if others is None or any(_is_named(key, identity) for key in keys):
        delete_scope(connection, scope, keys)
    else:
        _delete_steps(connection, scope, few)
        _rewrite_points(connection, keys, identity)
        _rewrite_alerts(connection, scope, identity)


def _steps_of_few(connection: Connection, scope: str, identity: str) -> list[int]:
    """Return the steps that a person has a sample of, and that have fewer than a window: these show whose they are."""
    own = func.sum(case((samples.c.identity == identity, 1), else_=0))
    counted = select(samples.c.window).where(samples.c.scope == scope).group_by(samples.c.window)
    few = counted.having(func.count(samples.c.sample_id.distinct()) < FEWEST_IN_WINDOW, own > 0)
    return sorted(connection.execute(few).scalars())


def _delete_steps(connection: Connection, scope: str, which: list[int]) -> None:
    """Delete what was measured on steps of a run, and all that was told of it."""
    said = and_(notices.c.scope == scope, notices.c.topic == topics.TRAINING_FEEDBACK.name, notices.c.window.in_(which))
    for row in connection.execute(select(notices.c.subject, notices.c.revision).where(said)).all():
        connection.execute(delete(outbox).where(outbox.c.id.in_(told_ids(row.subject, row.revision))))
    connection.execute(delete(notices).where(said))
    connection.execute(delete(steps).where(steps.c.scope == scope, steps.c.step.in_(which)))


def _is_named(chart: str, identity: str) -> bool:
    """Say whether a chart's name has the person's: as who is charted, or as a model or a run of that name."""
    _, *parts = json.loads(chart)
    return any(names(part.encode(), identity) for part in parts)


def delete_scope(connection: Connection, scope: str, keys: list[str]) -> None:
    """Delete a scope with its charts, their samples and all that was told of them."""
    said = connection.execute(select(notices.c.subject, notices.c.revision).where(notices.c.scope == scope))
    told = [{"told": name} for row in said for name in told_ids(row.subject, row.revision)]
    if told:
        connection.execute(delete(outbox).where(outbox.c.id == bindparam("told")), told)
    connection.execute(delete(points).where(points.c.chart.in_(keys)))
    for table in (samples, steps, notices, charts, scopes):
        connection.execute(delete(table).where(table.c.scope == scope))


def _rewrite_points(connection: Connection, keys: list[str], identity: str) -> None:
    naming = select(points).where(points.c.chart.in_(keys), points.c.body.contains(identity, autoescape=True))
    for row in connection.execute(naming).all():
        body = point_without(Point.model_validate_json(row.body), identity).model_dump_json()
        this = (points.c.chart == row.chart, points.c.window == row.window)
        connection.execute(update(points).where(*this).values(body=body))


def _rewrite_alerts(connection: Connection, scope: str, identity: str) -> None:
    """Rewrite the last that was said of each alert, and all that was published of it or waits to be."""
    of_alerts = (notices.c.scope == scope, notices.c.topic == topics.DRIFT_ALERTS.name)
    for said in connection.execute(select(notices).where(*of_alerts)).all():
        body = _without(said.body.encode(), identity).decode()
        connection.execute(update(notices).where(notices.c.subject == said.subject).values(body=body))
        told = outbox.c.id.in_(told_ids(said.subject, said.revision))
        for one in connection.execute(select(outbox.c.entry, outbox.c.value).where(told)).all():
            value = _without(bytes(one.value), identity)
            connection.execute(update(outbox).where(outbox.c.entry == one.entry).values(value=value))


def _without(body: bytes, identity: str) -> bytes:
    return to_json(alert_without(DriftAlerted.model_validate_json(body), identity))
