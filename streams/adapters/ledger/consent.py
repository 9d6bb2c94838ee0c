"""The consent register on SQL: entries are added, never changed, so that it tells who agreed to what, and when."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import BigInteger, Column, Integer, Row, String, Table, Text, insert, select, update

from streams.adapters.ledger.database import Database, from_micros, metadata, to_micros
from streams.core.consent import ANYWHERE, Consent, Entry, Purpose, Terms, state

register = Table(
    "consent",
    metadata,
    Column("entry", Integer, primary_key=True, autoincrement=True),
    Column("identity", String(200), nullable=False, index=True),
    Column("kind", String(16), nullable=False),
    Column("at", BigInteger, nullable=False),
    Column("expires", BigInteger),
    Column("note", Text, nullable=False),
    # None in what was entered before there were terms: generation, without a limit.
    Column("purpose", String(16)),
    Column("models", Text),
    Column("territories", Text),
    Column("evidence_sha256", String(64)),
    Column("entered_at", BigInteger),
    Column("announced_at", BigInteger, index=True),
)


class SqlConsentRegister:
    """Implements ``ports.ConsentRegister``."""

    def __init__(self, database: Database) -> None:
        """Use an opened database."""
        self._database = database

    async def entries(self, identities: Sequence[str]) -> dict[str, tuple[Entry, ...]]:
        """See ``ports.ConsentRegister``."""
        statement = select(register).where(register.c.identity.in_(identities)).order_by(register.c.entry)
        rows = await self._database.transact(lambda connection: list(connection.execute(statement)))
        found: dict[str, tuple[Entry, ...]] = dict.fromkeys(identities, ())
        for row in rows:
            found[row.identity] += (_entry(row),)
        return found

    async def states(self, identities: Sequence[str], now: datetime) -> dict[str, Consent]:
        """See ``ports.ConsentRegister``."""
        found = await self.entries(identities)
        return {identity: state(entries, Purpose.GENERATION, now) for identity, entries in found.items()}

    async def grant(
        self,
        identity: str,
        *,
        evidence: str,
        at: datetime,
        expires: datetime | None,
        purpose: Purpose = Purpose.GENERATION,
        terms: Terms = ANYWHERE,
        digest: str | None = None,
    ) -> None:
        """See ``ports.ConsentRegister``."""
        await self._add(
            {
                "identity": identity,
                "kind": "granted",
                "at": to_micros(at),
                "expires": to_micros(expires) if expires else None,
                "note": evidence,
                "purpose": purpose.value,
                "models": _text(terms.models),
                "territories": _text(terms.territories),
                "evidence_sha256": digest,
                "entered_at": to_micros(datetime.now(UTC)),
            }
        )

    async def withdraw(self, identity: str, *, at: datetime, note: str, purpose: Purpose | None = None) -> None:
        """See ``ports.ConsentRegister``."""
        await self._add(withdrawal(identity, at=at, note=note, purpose=purpose))

    async def unannounced(self, limit: int, *, of: str | None = None) -> list[Entry]:
        """See ``ports.ConsentRegister``."""
        statement = select(register).where(register.c.announced_at.is_(None)).order_by(register.c.entry).limit(limit)
        if of is not None:
            statement = statement.where(register.c.identity == of)
        return await self._database.transact(lambda connection: [_entry(row) for row in connection.execute(statement)])

    async def announced(self, numbers: Sequence[int]) -> None:
        """See ``ports.ConsentRegister``."""
        statement = update(register).where(register.c.entry.in_(numbers), register.c.announced_at.is_(None))
        noted = statement.values(announced_at=to_micros(datetime.now(UTC)))
        await self._database.transact(lambda connection: connection.execute(noted))

    async def _add(self, row: dict[str, Any]) -> None:
        await self._database.transact(lambda connection: connection.execute(insert(register), row))


def withdrawal(identity: str, *, at: datetime, note: str, purpose: Purpose | None = None) -> dict[str, Any]:
    """Return the row of a withdrawal."""
    return {
        "identity": identity,
        "kind": "withdrawn",
        "at": to_micros(at),
        "note": note,
        "purpose": purpose.value if purpose else None,
        "entered_at": to_micros(datetime.now(UTC)),
    }


def _entry(row: Row[Any]) -> Entry:
    return Entry(
        number=row.entry,
        identity=row.identity,
        kind=row.kind,
        at=from_micros(row.at),
        purpose=Purpose(row.purpose) if row.purpose else None,
        terms=Terms(_names(row.models), _names(row.territories)),
        expires=from_micros(row.expires) if row.expires is not None else None,
        evidence=row.evidence_sha256,
        note=row.note,
        entered=from_micros(row.entered_at) if row.entered_at is not None else None,
    )


def _text(names: tuple[str, ...]) -> str | None:
    return json.dumps(names) if names else None


def _names(text: str | None) -> tuple[str, ...]:
    return tuple(json.loads(text)) if text else ()
