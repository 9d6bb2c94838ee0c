"""Every chart as it is held, for those who look."""

from collections import defaultdict
from typing import Any

from sqlalchemy import Connection, Row, select

from streams.adapters.ledger.charts.rows import charts, notice_of, notices, points, scopes
from streams.adapters.ledger.database import Database
from streams.core.drift.calibration import Calibration
from streams.core.drift.chart import Chart
from streams.core.drift.drawn import Drawn
from streams.core.drift.fold import Point
from streams.core.drift.plan import Plan
from streams.core.ids import alert_id, feedback_id


async def drawn(database: Database, plan: Plan) -> list[Drawn]:
    """Return every chart of this plan, by name.

    Raises:
        DependencyUnavailable: If the database does not answer.
    """
    return await database.transact(lambda connection: _drawn(connection, plan))


def _drawn(connection: Connection, plan: Plan) -> list[Drawn]:
    held = connection.execute(
        select(charts.c.chart, scopes.c.scope, scopes.c.calibration, scopes.c.baseline).join(
            scopes, charts.c.scope == scopes.c.scope
        )
    )
    rows = {row.chart: row for row in held if Chart.of(row.chart).basis.startswith(f"{plan.version} ")}
    by_chart: defaultdict[str, list[Point]] = defaultdict(list)
    for row in connection.execute(select(points).order_by(points.c.chart, points.c.window)):
        if row.chart in rows:
            by_chart[row.chart].append(Point.model_validate_json(row.body))
    by_scope: defaultdict[str, list[Row[Any]]] = defaultdict(list)
    for row in connection.execute(select(notices).order_by(notices.c.window, notices.c.subject)):
        by_scope[row.scope].append(row)
    return [
        Drawn(
            chart=Chart.of(key),
            calibration=Calibration.from_json(rows[key].calibration) if rows[key].calibration else None,
            baseline=rows[key].baseline,
            points=tuple(by_chart[key]),
            said=tuple(notice_of(one) for one in by_scope[rows[key].scope] if _is_of(one, key, rows[key].scope)),
        )
        for key in sorted(rows)
    ]


def _is_of(notice: Row[Any], key: str, scope: str) -> bool:
    """Say whether what was said is of this chart: several model versions share a scope."""
    alerts = {alert_id(key, statistic, notice.window) for statistic in ("fall", "rise", "shift")}
    return notice.subject in alerts or notice.subject == feedback_id(scope, notice.window)
