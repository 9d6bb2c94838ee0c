"""The ledger's side of a redrive, on SQL: an audit row and a sample in flight again, in one transaction."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Connection, Integer, LargeBinary, Row, String, Table, Text, select, update

from streams.adapters.ledger.database import Database, metadata, to_micros
from streams.adapters.ledger.rows import record_of, samples
from streams.core.deadletter import explanation
from streams.core.ledger import State
from streams.core.redrive import Redrive

redrives = Table(
    "redrive",
    metadata,
    Column("sample_id", String(32), primary_key=True),
    Column("n", Integer, primary_key=True, autoincrement=False),
    Column("at", BigInteger, nullable=False),
    Column("reason", String(40), nullable=False),
    Column("note", Text, nullable=False),
    # 1 where the sample is in flight again, so that its dead letter holds no longer; 0 for a message without a sample.
    Column("reopened", Integer, nullable=False),
    # The dead letter, to the byte.
    Column("topic", String(200), nullable=False),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", Text, nullable=False),
    Column("time", BigInteger, nullable=False),
    Column("sent_at", BigInteger),
)

_RECORD = ("topic", "key", "value", "headers", "time")
#: What a sample in flight has: no end, and no attempt.
_IN_FLIGHT = {
    **dict.fromkeys((*_RECORD, "measurement", "published_at")),
    "state": State.IN_FLIGHT,
    "attempts": 0,
    "child_deaths": 0,
}


class SqlRedrives:
    """Implements ``ports.Redrives``, in the ledger's database."""

    def __init__(self, database: Database) -> None:
        """Use an opened database."""
        self._database = database

    async def reopen(self, sample_id: str, *, at: datetime, note: str, most: int | None) -> Redrive | None:
        """See ``ports.Redrives``. The lock on the sample's row is what two operators meet at."""
        dead = select(samples).where(samples.c.sample_id == sample_id, samples.c.state == State.DEAD).with_for_update()

        def work(connection: Connection) -> Redrive | None:
            # Not noted yet, its worker is about to publish or to note it: that must not meet the sample's next end.
            row = connection.execute(dead.where(samples.c.published_at.is_not(None))).one_or_none()
            if row is None:
                return None
            n = len(_history(connection, [sample_id])) + 1
            message = row.kind == "message"
            if n > (1 if message else n if most is None else most):
                return None
            letter = record_of(row)
            connection.execute(
                redrives.insert().values(
                    sample_id=sample_id,
                    n=n,
                    at=to_micros(at),
                    reason=explanation(letter.headers).get("reason", ""),
                    note=note,
                    reopened=int(not message),
                    **{name: getattr(row, name) for name in _RECORD},
                )
            )
            if not message:
                connection.execute(update(samples).where(samples.c.sample_id == sample_id).values(_IN_FLIGHT))
            return Redrive(sample_id, n, letter, sent=False)

        return await self._database.transact(work)

    async def history(self, sample_ids: Sequence[str]) -> list[Redrive]:
        """See ``ports.Redrives``."""
        return await self._database.transact(lambda connection: _history(connection, sample_ids))

    async def unsent(self) -> list[Redrive]:
        """See ``ports.Redrives``."""
        statement = select(redrives).where(redrives.c.sent_at.is_(None)).order_by(redrives.c.at, redrives.c.sample_id)
        return await self._database.transact(
            lambda connection: [_redrive_of(row) for row in connection.execute(statement)]
        )

    async def sent(self, redrive: Redrive, *, at: datetime) -> None:
        """See ``ports.Redrives``."""
        which = (redrives.c.sample_id == redrive.sample_id, redrives.c.n == redrive.n)
        statement = update(redrives).where(*which, redrives.c.sent_at.is_(None)).values(sent_at=to_micros(at))
        await self._database.transact(lambda connection: connection.execute(statement))


def _history(connection: Connection, sample_ids: Sequence[str]) -> list[Redrive]:
    statement = select(redrives).where(redrives.c.sample_id.in_(sample_ids))
    return [_redrive_of(row) for row in connection.execute(statement.order_by(redrives.c.sample_id, redrives.c.n))]


def _redrive_of(row: Row[Any]) -> Redrive:
    return Redrive(row.sample_id, row.n, record_of(row), row.sent_at is not None)
