"""The book of charts on SQL, in the ledger's database.

Samples go in first, in a transaction of their own: which ones were there before is all that order could change. Turning
a page writes what follows from them, and what is to be told of it, in one transaction, unless somebody has written to
the scope since the page was read: then it is read again.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, Row, and_, delete, func, insert, select, update

from streams.adapters.ledger.charts.rows import (
    charts,
    newest_of,
    notice_of,
    notice_row,
    notices,
    observation_of,
    outbox,
    outbox_row,
    points,
    sample_row,
    samples,
    scopes,
    steps,
    unpublished,
)
from streams.adapters.ledger.database import Database, to_micros
from streams.adapters.ledger.forgotten import names_now, share_names
from streams.adapters.ledger.rows import record_of
from streams.core.drift.book import Page, Turned
from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart, Kind, Observation, closed_before
from streams.core.drift.fold import Point
from streams.core.drift.plan import Plan
from streams.core.drift.training import StepMetrics
from streams.core.ids import alert_id
from streams.core.records import Record

#: Before every window, and after every one.
_BEGINNING, _END = -(2**62), 2**63 - 1


class SqlChartBook:
    """Implements ``ports.ChartBook``."""

    def __init__(self, database: Database, plan: Plan) -> None:
        """Use an opened database; the plan says when a window is closed."""
        self._database, self._plan = database, plan

    async def put(self, observations: Sequence[Observation]) -> list[str]:
        """See ``ports.ChartBook``. Everybody takes the scopes in one order, so that nobody waits for each other."""

        def work(connection: Connection) -> list[str]:
            share_names(connection)
            called = names_now(connection, {one.identity for one in observations})
            by_scope: dict[str, list[Observation]] = {}
            for one in observations:
                if called[one.identity] == one.identity:
                    by_scope.setdefault(one.chart.scope, []).append(one)
            names = sorted(by_scope)
            absent = [_new_scope(name, by_scope[name][0].chart.kind) for name in names]
            self._database.insert_absent(connection, scopes, absent)
            for row in _locked(connection, names):
                self._put(connection, row, by_scope[row.scope])
            return names

        return await self._database.transact(work) if observations else []

    def _put(self, connection: Connection, row: Row[Any], observations: Sequence[Observation]) -> None:
        keys = sorted({one.chart.key for one in observations})
        self._database.insert_absent(connection, charts, [{"chart": key, "scope": row.scope} for key in keys])
        ids = sorted({one.sample_id for one in observations})
        windows = sorted({one.window for one in observations})
        there = (samples.c.chart.in_(keys), samples.c.window.in_(windows), samples.c.sample_id.in_(ids))
        known = set(connection.execute(select(samples.c.sample_id).where(*there)).scalars())
        new = [one for one in observations if one.sample_id not in known]
        if not new:
            return
        rows = {one.sample_id: sample_row(one) for one in new}
        self._database.insert_absent(connection, samples, [rows[name] for name in sorted(rows)])
        touched = min(one.window for one in new)
        newest = max(row.newest, *(newest_of(one) for one in new))
        if row.kind == Kind.RUN and row.newest != _BEGINNING and newest > row.newest:
            touched = min(touched, row.newest)  # that step is complete now
        dirty = touched if row.dirty is None else min(touched, row.dirty)
        changed = {"newest": newest, "dirty": dirty, "edition": row.edition + 1}
        connection.execute(update(scopes).where(scopes.c.scope == row.scope).values(changed))

    async def pages(self, names: Sequence[str]) -> list[Page]:
        """See ``ports.ChartBook``."""

        def work(connection: Connection) -> list[Page]:
            rows = connection.execute(select(scopes).where(scopes.c.scope.in_(names)).order_by(scopes.c.scope)).all()
            found = [(row, self._open_from(row)) for row in rows]
            return [_page(connection, row, open_from) for row, open_from in found if _has_news(row, open_from)]

        return await self._database.transact(work)

    def _open_from(self, row: Row[Any]) -> int:
        return closed_before(
            Kind(row.kind),
            row.newest,
            window_seconds=self._plan.window_seconds,
            lateness_seconds=self._plan.lateness_seconds,
        )

    async def turn(self, turned: Sequence[Turned], *, at: datetime) -> bool:
        """See ``ports.ChartBook``."""
        by_scope = {one.page.scope: one for one in turned}

        def work(connection: Connection) -> bool:
            rows = _locked(connection, sorted(by_scope))
            current = [by_scope[row.scope] for row in rows if row.edition == by_scope[row.scope].page.edition]
            for one in current:
                _write(connection, one, at)
            return len(current) == len(by_scope)

        return await self._database.transact(work)

    async def untold(self, limit: int) -> list[tuple[str, Record]]:
        """See ``ports.ChartBook``."""
        statement = select(outbox).where(unpublished).order_by(outbox.c.entry).limit(limit)
        return await self._database.transact(
            lambda connection: [(row.id, record_of(row)) for row in connection.execute(statement)]
        )

    async def told(self, ids: Sequence[str]) -> None:
        """See ``ports.ChartBook``."""
        now = to_micros(datetime.now(UTC))
        statement = update(outbox).where(outbox.c.id.in_(ids), unpublished).values(published_at=now)
        await self._database.transact(lambda connection: connection.execute(statement))


def _new_scope(name: str, kind: Kind) -> dict[str, Any]:
    return {"scope": name, "kind": kind.value, "edition": 0, "newest": _BEGINNING}


def _locked(connection: Connection, names: Sequence[str]) -> list[Row[Any]]:
    """Return the scopes' rows, which nobody else writes to until this transaction ends. SQLite has one lock."""
    statement = select(scopes).where(scopes.c.scope.in_(names)).order_by(scopes.c.scope)
    return list(connection.execute(statement.with_for_update()))


def _has_news(row: Row[Any], open_from: int) -> bool:
    return row.dirty is not None and (row.kind == Kind.RUN or row.dirty < open_from)


def _page(connection: Connection, row: Row[Any], open_from: int) -> Page:
    kind = Kind(row.kind)
    calibration = Calibration.from_json(row.calibration) if row.calibration else None
    since = _BEGINNING if row.baseline is None else row.baseline
    begin = max(row.dirty, since)  # what comes late for before the baseline changes nothing any more
    if calibration is None or begin <= calibration.through:
        calibration, begin = None, since  # what comes into its windows makes another one
    keys = connection.execute(select(charts.c.chart).where(charts.c.scope == row.scope)).scalars()
    known = {key: Chart.of(key) for key in sorted(keys)}
    before = _last_points(connection, list(known), since, begin) if calibration else {}
    through = since - 1 if calibration is None else calibration.through
    from_ = {key: before[key].window if key in before else through for key in known}
    until = samples.c.window < (_END if kind is Kind.RUN else open_from)
    held = [
        observation_of(found, known)
        for key, window in from_.items()
        for found in connection.execute(select(samples).where(samples.c.chart == key, samples.c.window > window, until))
    ]
    calibrating: list[Observation] = []
    if calibration is not None and kind is not Kind.IDENTITY:
        within = select(samples).where(
            samples.c.scope == row.scope, samples.c.window.between(since, calibration.through)
        )
        calibrating = [observation_of(found, known) for found in connection.execute(within)]
    standing = [
        alert_id(key, one.alert.statistic, one.alert.raised)
        for key, point in before.items()
        for one in point.standings.values()
        if one.alert is not None
    ]
    said = select(notices).where(
        notices.c.scope == row.scope, (notices.c.window >= begin) | notices.c.subject.in_(standing)
    )
    earlier = select(steps).where(steps.c.scope == row.scope, steps.c.step < begin).order_by(steps.c.step)
    return Page(
        scope=row.scope,
        kind=kind,
        edition=row.edition,
        open_from=open_from,
        begin=begin,
        calibration=calibration,
        calibrating=tuple(calibrating),
        observations=tuple(held),
        before=before,
        steps=tuple((one.step, StepMetrics.model_validate_json(one.body)) for one in connection.execute(earlier)),
        notices=tuple(notice_of(one) for one in connection.execute(said.order_by(notices.c.subject))),
    )


def _last_points(connection: Connection, keys: Sequence[str], since: int, begin: int) -> dict[str, Point]:
    """Return the last point of each chart before a window, none from before the baseline."""
    last = (
        select(points.c.chart, func.max(points.c.window).label("window"))
        .where(points.c.chart.in_(keys), points.c.window >= since, points.c.window < begin)
        .group_by(points.c.chart)
        .subquery()
    )
    statement = select(points).join(last, and_(points.c.chart == last.c.chart, points.c.window == last.c.window))
    return {row.chart: Point.model_validate_json(row.body) for row in connection.execute(statement)}


def _write(connection: Connection, turned: Turned, at: datetime) -> None:
    page = turned.page
    keys = select(charts.c.chart).where(charts.c.scope == page.scope)
    connection.execute(delete(points).where(points.c.chart.in_(keys), points.c.window >= page.begin))
    connection.execute(delete(steps).where(steps.c.scope == page.scope, steps.c.step >= page.begin))
    point_rows = [
        {"chart": key, "window": point.window, "body": point.model_dump_json()}
        for key, found in turned.points.items()
        for point in found
    ]
    step_rows = [
        {"scope": page.scope, "step": step, "body": metrics.model_dump_json()} for step, metrics in turned.steps
    ]
    last = {notice.subject: notice for notice in turned.notices}
    connection.execute(delete(notices).where(notices.c.subject.in_(list(last))))
    for table, rows in (
        (points, point_rows),
        (steps, step_rows),
        (notices, [notice_row(page.scope, notice) for notice in last.values()]),
        (outbox, [outbox_row(notice, notice.record(at)) for notice in turned.notices]),
    ):
        if rows:
            connection.execute(insert(table), rows)
    changed = {
        "edition": page.edition + 1,
        "dirty": None if page.kind is Kind.RUN else page.open_from,
        "calibration": turned.calibration.to_json() if turned.calibration else None,
    }
    connection.execute(update(scopes).where(scopes.c.scope == page.scope).values(changed))
