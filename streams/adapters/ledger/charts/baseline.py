"""Sets a new baseline beside monitors that run: whoever turns a page of before turns it in vain."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, insert, select, update

from streams.adapters.ledger.charts.rows import charts, notice_of, notice_row, notices, outbox, outbox_row, scopes
from streams.adapters.ledger.database import Database
from streams.core.drift.baseline import ended, first_window
from streams.core.drift.chart import Chart, Kind
from streams.core.drift.plan import Plan


@dataclass(frozen=True)
class Rebased:
    """What a new baseline has done."""

    begins: int
    """The first window that counts."""
    charts: tuple[str, ...]
    """Their names, as people call them."""
    cleared: int
    """Alerts that stood, and are over with it; the monitor tells so with the next verdicts."""


async def set_baseline(
    database: Database, plan: Plan, *, model: str, identity: str | None, since: datetime, at: datetime
) -> Rebased:
    """Let charts begin anew: those of a model and of each person by it, or those of one person by it.

    Args:
        database: The ledger's.
        plan: Whose charts.
        model: Of which model.
        identity: Of whom alone; None: everybody, and the model itself.
        since: Nothing of before counts.
        at: When this is done.

    Raises:
        DependencyUnavailable: If the database does not answer.
    """
    begins = first_window(since, plan)

    def work(connection: Connection) -> Rebased:
        held = connection.execute(select(charts.c.chart, charts.c.scope)).all()
        found = {row.chart: row.scope for row in held if _is_meant(Chart.of(row.chart), plan, model, identity)}
        cleared = 0
        for scope in sorted(set(found.values())):
            cleared += _rebase(connection, scope, begins, plan, at)
        return Rebased(begins, tuple(sorted(Chart.of(key).title for key in found)), cleared)

    return await database.transact(work)


def _is_meant(chart: Chart, plan: Plan, model: str, identity: str | None) -> bool:
    if chart.kind is Kind.RUN or chart.model != model or not chart.basis.startswith(f"{plan.version} "):
        return False
    return identity is None or chart.identity == identity


def _rebase(connection: Connection, scope: str, begins: int, plan: Plan, at: datetime) -> int:
    """Set one scope's baseline; return how many alerts it ends."""
    held = connection.execute(select(scopes).where(scopes.c.scope == scope).with_for_update()).one()
    changed = {"baseline": begins, "calibration": None, "dirty": begins, "edition": held.edition + 1}
    connection.execute(update(scopes).where(scopes.c.scope == scope).values(changed))
    said = connection.execute(select(notices).where(notices.c.scope == scope).order_by(notices.c.subject)).all()
    over = [one for row in said if (one := ended(notice_of(row), begins, plan)) is not None]
    if over:
        connection.execute(delete(notices).where(notices.c.subject.in_([one.subject for one in over])))
        connection.execute(insert(notices), [notice_row(scope, one) for one in over])
        connection.execute(insert(outbox), [outbox_row(one, one.record(at)) for one in over])
    return len(over)
