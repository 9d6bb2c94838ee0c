"""The consent register on SQL: entries are added, never changed, so that it tells who agreed when."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, insert, select

from streams.adapters.database import Database, from_micros, metadata, to_micros
from streams.core.consent import Consent, ConsentRecord, granted, state, withdrawn

_entry = Table(
    "consent",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("identity", String(200), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("note", Text, nullable=False),
)


class SqlConsentRegister:
    """Implements ``ports.ConsentRegister``."""

    def __init__(self, database: Database) -> None:
        """Use an opened database."""
        self._database = database

    async def states(self, identities: Sequence[str], now: datetime) -> dict[str, Consent]:
        """See ``ports.ConsentRegister``."""
        statement = select(_entry).where(_entry.c.identity.in_(identities)).order_by(_entry.c.entry)
        rows = await self._database.transact(lambda connection: list(connection.execute(statement)))
        records: dict[str, ConsentRecord] = {}
        for row in rows:
            at, before = from_micros(row.at), records.get(row.identity)
            if row.kind == "granted":
                expires = from_micros(row.expires) if row.expires is not None else None
                records[row.identity] = granted(before, at, expires)
            else:
                records[row.identity] = withdrawn(before, at)
        return {identity: state(records.get(identity), now) for identity in identities}

    async def grant(self, identity: str, *, evidence: str, at: datetime, expires: datetime | None) -> None:
        """See ``ports.ConsentRegister``."""
        await self._add(identity, "granted", at, expires, evidence)

    async def withdraw(self, identity: str, *, at: datetime, note: str) -> None:
        """See ``ports.ConsentRegister``."""
        await self._add(identity, "withdrawn", at, None, note)

    async def _add(self, identity: str, kind: str, at: datetime, expires: datetime | None, note: str) -> None:
        row = {
            "identity": identity,
            "kind": kind,
            "at": to_micros(at),
            "expires": to_micros(expires) if expires else None,
            "note": note,
        }
        await self._database.transact(lambda connection: connection.execute(insert(_entry), row))
