"""Forgetting somebody in the ledger's database: rows stay and are counted, and lead to nobody."""

import uuid
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import (
    Column,
    Connection,
    LargeBinary,
    Row,
    Select,
    String,
    bindparam,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)
from sqlalchemy.sql.elements import ColumnElement

from streams.adapters.ledger.charts.erased import count_charted, scopes_with, take_out
from streams.adapters.ledger.clips.erased import clips_with, take_out_clips
from streams.adapters.ledger.consent import register, withdrawal
from streams.adapters.ledger.database import Database, from_micros, metadata, to_micros
from streams.adapters.ledger.erased import Rewritten, of_redrive, of_sample
from streams.adapters.ledger.forgotten import erased_records, erasures, key_of, take_names
from streams.adapters.ledger.redrives import redrives
from streams.adapters.ledger.rows import samples, undelivered
from streams.core.erasure import (
    Erasure,
    Inventory,
    Mentions,
    Swept,
    called_after,
    name_hash,
    names,
    renamed_request,
    words_with,
)
from streams.core.ledger import State

T = TypeVar("T")

#: Rows that are gone through in one transaction, and values in one list.
ROWS = 1000
#: Seconds that what goes through every row at once may take.
EVERY_ROW_SECONDS = 600

_id = samples.c.sample_id
_swept = select(erased_records.c.sample_id).where(erased_records.c.n == 0)


class SqlErasures:
    """Implements ``ports.Erasures``."""

    def __init__(self, database: Database) -> None:
        """Use an opened database."""
        self._database = database

    async def begin(self, identity: str, *, at: datetime) -> Erasure:
        """See ``ports.Erasures``."""

        def work(connection: Connection) -> Erasure:
            hashed = name_hash(key_of(connection), identity)
            held = _of(connection, hashed)
            if held is None:
                receipt = uuid.uuid4().hex
                row = {"receipt": receipt, "name_hash": hashed, "called": called_after(receipt)}
                began = {"began_at": to_micros(at), "inventory": Inventory().to_text()}
                connection.execute(insert(erasures), row | began)
            mine = select(register.c.kind).where(register.c.identity == identity).order_by(register.c.entry.desc())
            if connection.execute(mine.limit(1)).scalar() == "granted" or held is None:
                connection.execute(insert(register), withdrawal(identity, at=at, note="forgotten"))
            return _erasure(held or _of(connection, hashed))

        return await self._database.transact(work)

    async def note(self, erasure: Erasure, inventory: Inventory) -> Inventory:
        """See ``ports.Erasures``."""
        return await self._database.transact(lambda connection: _noted(connection, erasure, inventory))

    async def samples_of(self, erasure: Erasure) -> set[str]:
        """See ``ports.Erasures``."""
        statement = select(_id).where(samples.c.identity == erasure.called)
        return await self._every_row(partial(_column, statement))

    async def pictured(self, images: Collection[str]) -> set[str]:
        """See ``ports.Erasures``."""
        wanted, found = sorted(images), set[str]()
        for start in range(0, len(wanted), ROWS):
            some = select(samples.c.image_sha256).where(samples.c.image_sha256.in_(wanted[start : start + ROWS]))
            found |= await self._every_row(partial(_column, some))
        return found

    async def under_way(self, *, before: datetime, of: str | None = None) -> int:
        """See ``ports.Erasures``."""
        # What is in flight is not published either: that has an index.
        begun = (undelivered, samples.c.registered_at <= to_micros(before))
        whose = samples.c.attempts > 0 if of is None else samples.c.identity == of
        statement = select(func.count()).select_from(samples).where(samples.c.state == State.IN_FLIGHT, *begun, whose)
        return await self._database.transact(lambda connection: int(connection.execute(statement).scalar_one()))

    async def rename(self, erasure: Erasure, identity: str, *, at: datetime) -> Inventory:
        """See ``ports.Erasures``. Workers who have a sample of the person at hand find it out when they write."""
        own = select(_id, samples.c.payload, samples.c.image_sha256).where(samples.c.identity == identity).order_by(_id)
        rewrite = update(samples).where(_id == bindparam("wanted")).values(payload=bindparam("asks"))
        rewrite = rewrite.values(identity=erasure.called, image_sha256=None, image_size=None)
        mine = update(erasures).where(erasures.c.receipt == erasure.receipt, erasures.c.renamed_at.is_(None))
        nobody = {"identity": erasure.called, "note": "", "evidence_sha256": None}

        def work(connection: Connection) -> Inventory:
            take_names(connection)
            connection.execute(mine.values(renamed_at=to_micros(at)))
            connection.execute(update(register).where(register.c.identity == identity).values(nobody))
            rows = list(connection.execute(own))
            renamed = [
                {"wanted": row.sample_id, "asks": renamed_request(bytes(row.payload), identity, erasure.called)}
                for row in rows
            ]
            if renamed:
                connection.execute(rewrite, renamed)
            images = frozenset(row.image_sha256 for row in rows if row.image_sha256 is not None)
            # With the pointers that are taken from the rows: nothing else leads to the images any more.
            return _noted(connection, erasure, Inventory(images, counts={"samples": len(rows)}))

        return await self._every_row(work)

    async def unchart(self, erasure: Erasure, identity: str) -> None:
        """See ``ports.Erasures``. Nothing is added meanwhile: to the book of charts the name means nobody any more."""

        def find(connection: Connection) -> list[str]:
            clips = clips_with(connection, identity)
            counts = {"charted samples": count_charted(connection, identity), "clips": len(clips)}
            _noted(connection, erasure, Inventory(counts=counts))
            take_out_clips(connection, clips)
            return scopes_with(connection, identity)

        for scope in await self._every_row(find):
            await self._every_row(partial(take_out, scope=scope, identity=identity))

    async def sweep(self, erasure: Erasure, identity: str) -> Swept:
        """See ``ports.Erasures``."""
        swept, after = Swept(), ""
        while True:
            page = partial(self._sweep, erasure=erasure, identity=identity, after=after)
            found, last = await self._database.transact(page)
            swept = Swept(swept.rewritten + found.rewritten, swept.undelivered + found.undelivered)
            if last is None:
                break
            after = last
        more = await self._database.transact(lambda connection: self._sweep_redrives(connection, erasure, identity))
        return Swept(swept.rewritten + more.rewritten, swept.undelivered + more.undelivered)

    def _sweep(self, connection: Connection, erasure: Erasure, identity: str, after: str) -> tuple[Swept, str | None]:
        """Rewrite the next rows that say too much; return with them the last row, None behind the last of all."""
        following = select(_id).where(_id > after).order_by(_id).limit(ROWS).subquery()
        last = connection.execute(select(func.max(following.c.sample_id))).scalar_one()
        if last is None:
            return Swept(), None
        own = samples.c.identity == erasure.called
        says = or_(
            _mentions(connection, samples, identity), own & (samples.c.state != State.IN_FLIGHT) & ~_id.in_(_swept)
        )
        rows = list(connection.execute(select(samples).where(_id > after, _id <= last, says)))
        undelivered = [row for row in rows if row.topic is not None and row.published_at is None]
        changed = [of_sample(row, identity, erasure.called) for row in rows if row not in undelivered]
        for one in changed:
            if one.columns:
                connection.execute(update(samples).where(_id == one.sample_id).values(one.columns))
        self._keep_digests(connection, changed)
        return Swept(sum(bool(one.columns) for one in changed), len(undelivered)), last

    def _sweep_redrives(self, connection: Connection, erasure: Erasure, identity: str) -> Swept:
        own = redrives.c.sample_id.in_(select(_id).where(samples.c.identity == erasure.called))
        kept = select(erased_records.c.sample_id).where(
            erased_records.c.sample_id == redrives.c.sample_id, erased_records.c.n == redrives.c.n
        )
        says = or_(_mentions(connection, redrives, identity), own & ~kept.exists())
        rows = list(connection.execute(select(redrives).where(says)))
        mine = set(connection.execute(select(redrives.c.sample_id).where(own)).scalars())
        undelivered = [row for row in rows if row.sent_at is None]
        changed = [
            of_redrive(row, identity, erasure.called, own=row.sample_id in mine)
            for row in rows
            if row not in undelivered
        ]
        for one in changed:
            which = (redrives.c.sample_id == one.sample_id, redrives.c.n == one.n)
            if one.columns:
                connection.execute(update(redrives).where(*which).values(one.columns))
        self._keep_digests(connection, changed)
        return Swept(sum(bool(one.columns) for one in changed), len(undelivered))

    def _keep_digests(self, connection: Connection, changed: Sequence[Rewritten]) -> None:
        """Have the audit know the records as they were published; those that were kept before, are kept."""
        kept = [
            {"sample_id": one.sample_id, "n": one.n, "value": one.value, "envelope": one.envelope}
            for one in changed
            if one.value is not None
        ]
        self._database.insert_absent(connection, erased_records, kept)

    async def finish(self, erasure: Erasure, *, at: datetime) -> None:
        """See ``ports.Erasures``."""
        mine = erasures.c.receipt == erasure.receipt
        statement = update(erasures).where(mine).values(finished_at=to_micros(at))
        await self._database.transact(lambda connection: connection.execute(statement))

    async def close(self, erasure: Erasure) -> None:
        """See ``ports.Erasures``."""
        mine = erasures.c.receipt == erasure.receipt

        def work(connection: Connection) -> None:
            counts = Inventory(counts=_noted(connection, erasure, Inventory()).counts)
            connection.execute(update(erasures).where(mine).values(inventory=counts.to_text()))

        await self._database.transact(work)

    async def lift(self, identity: str, *, at: datetime) -> bool:
        """See ``ports.Erasures``."""

        def work(connection: Connection) -> bool:
            hashed = name_hash(key_of(connection), identity)
            mine = (erasures.c.name_hash == hashed, erasures.c.lifted_at.is_(None))
            lifted = connection.execute(update(erasures).where(*mine).values(lifted_at=to_micros(at)))
            return bool(lifted.rowcount)

        return await self._database.transact(work)

    async def left(self, identity: str) -> Mentions:
        """See ``ports.Erasures``."""

        def work(connection: Connection) -> Mentions:
            places: Counter[str] = Counter()
            words: set[str] = set()
            for table in metadata.sorted_tables:
                for column in table.columns:
                    if not isinstance(column.type, String | LargeBinary):
                        continue
                    says = select(column).where(_contains(connection, column, identity))
                    for held in connection.execute(says).scalars():
                        content = held.encode() if isinstance(held, str) else bytes(held)
                        places[f"{table.name}.{column.name}"] += names(content, identity)
                        words |= words_with(content, identity)
            return Mentions({place: count for place, count in places.items() if count}, frozenset(words))

        return await self._every_row(work)

    async def _every_row(self, work: Callable[[Connection], T]) -> T:
        """Run what goes through every row of a table, which may take longer than an ordinary statement."""

        def patient(connection: Connection) -> T:
            if connection.dialect.name == "postgresql":
                connection.exec_driver_sql(f"SET LOCAL statement_timeout = '{EVERY_ROW_SECONDS}s'")
            return work(connection)

        return await self._database.transact(patient, at_most_seconds=EVERY_ROW_SECONDS)

    async def compact(self) -> bool:
        """See ``ports.Erasures``."""
        return await self._database.rewrite()


def _column(statement: Select[Any], connection: Connection) -> set[str]:
    return set(connection.execute(statement).scalars())


def _of(connection: Connection, hashed: str) -> Row[Any] | None:
    in_force = (erasures.c.name_hash == hashed, erasures.c.lifted_at.is_(None))
    return connection.execute(select(erasures).where(*in_force)).one_or_none()


def _noted(connection: Connection, erasure: Erasure, inventory: Inventory) -> Inventory:
    mine = erasures.c.receipt == erasure.receipt
    held = Inventory.from_text(connection.execute(select(erasures.c.inventory).where(mine)).scalar_one())
    connection.execute(update(erasures).where(mine).values(inventory=(held | inventory).to_text()))
    return held | inventory


def _erasure(row: Any) -> Erasure:
    return Erasure(row.receipt, row.called, from_micros(row.began_at))


def _mentions(connection: Connection, table: Any, identity: str) -> ColumnElement[bool]:
    """Say where a row may hold the name. Headers are kept in hexadecimal."""
    columns = [table.c[name] for name in ("payload", "key", "value", "measurement", "note") if name in table.c]
    in_headers = _contains(connection, table.c.headers, identity.encode().hex())
    return or_(in_headers, *(_contains(connection, column, identity) for column in columns))


def _contains(connection: Connection, column: Column[Any], text: str) -> ColumnElement[bool]:
    binary = isinstance(column.type, LargeBinary)
    wanted = literal(text.encode() if binary else text, column.type)
    if connection.dialect.name == "sqlite":
        return func.instr(column, wanted) > 0
    return func.pg_catalog.position(column, wanted) > 0
