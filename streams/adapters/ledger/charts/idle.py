"""Takes out charts of which nothing is heard any more: runs that are over, versions of models and plans of before."""

from datetime import datetime
from functools import partial

from sqlalchemy import Connection, func, select

from streams.adapters.ledger.charts.erased import delete_scope
from streams.adapters.ledger.charts.rows import charts, notices, outbox, samples, told_ids, unpublished
from streams.adapters.ledger.database import Database, to_micros
from streams.adapters.ledger.forgotten import take_names
from streams.core.drift.chart import Chart


async def prune(database: Database, *, before: datetime, dry_run: bool = False) -> list[str]:
    """Delete charts that share a calibration where none of them has a sample of after ``before``; return their names.

    What was not told yet of a chart keeps it. Each calibration's charts go in a transaction of their own.

    Args:
        database: The ledger's.
        before: When the last sample was judged, at the latest.
        dry_run: Delete nothing, and say what would be.

    Raises:
        DependencyUnavailable: If the database does not answer.
    """
    limit = to_micros(before)
    idle = select(samples.c.scope).group_by(samples.c.scope).having(func.max(samples.c.at) < limit)
    scopes = await database.transact(lambda connection: sorted(connection.execute(idle).scalars()))
    gone: list[str] = []
    for scope in scopes:
        gone += await database.transact(partial(_prune, scope=scope, limit=limit, dry_run=dry_run))
    return sorted(gone)


def _prune(connection: Connection, *, scope: str, limit: int, dry_run: bool) -> list[str]:
    take_names(connection)  # whoever puts samples shares this: nobody finds a scope that is gone a moment later
    last = connection.execute(select(func.max(samples.c.at)).where(samples.c.scope == scope)).scalar()
    if last is None or last >= limit or _has_untold(connection, scope):
        return []
    keys = list(connection.execute(select(charts.c.chart).where(charts.c.scope == scope)).scalars())
    if not dry_run:
        delete_scope(connection, scope, keys)
    return [Chart.of(key).title for key in keys]


def _has_untold(connection: Connection, scope: str) -> bool:
    said = connection.execute(select(notices.c.subject, notices.c.revision).where(notices.c.scope == scope))
    ids = {name for row in said for name in told_ids(row.subject, row.revision)}
    return not ids.isdisjoint(connection.execute(select(outbox.c.id).where(unpublished)).scalars())
