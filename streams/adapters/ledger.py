"""The ledger on SQL: one row a sample, decided once, with the record to publish in the row (transactional outbox)."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Index,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    bindparam,
    select,
    tuple_,
    update,
)

from streams.adapters.database import Database, from_micros, metadata, to_micros
from streams.core.ledger import Outcome, Registered, Registration, State
from streams.core.records import Record
from streams.events import Headers, ImageRef

samples = Table(
    "sample",
    metadata,
    Column("sample_id", String(32), primary_key=True),
    Column("kind", String(16), nullable=False),
    Column("payload", LargeBinary, nullable=False),
    Column("identity", String(200)),
    Column("model", String(200)),
    Column("model_version", String(200)),
    Column("seed", BigInteger),
    Column("image_sha256", String(64)),
    Column("image_size", BigInteger),
    Column("registered_at", BigInteger, nullable=False, index=True),
    Column("state", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("child_deaths", Integer, nullable=False),
    # The outbox: what is published for this row, to the byte.
    Column("topic", String(200)),
    Column("key", LargeBinary),
    Column("value", LargeBinary),
    Column("headers", Text),
    Column("time", BigInteger),
    Column("measurement", Text),
    Column("published_at", BigInteger),
)
_id = samples.c.sample_id
_undelivered = samples.c.published_at.is_(None)
# Few rows of many: the reconciler looks for them time and again.
Index("sample_undelivered", samples.c.registered_at, _id, sqlite_where=_undelivered, postgresql_where=_undelivered)

_delivery = Table(
    "delivery",
    metadata,
    Column("the_only_row", Integer, primary_key=True, autoincrement=False),
    Column("cluster", String(200), nullable=False),
)


class SqlLedger:
    """Implements ``ports.Ledger``."""

    def __init__(self, database: Database) -> None:
        """Use an opened database."""
        self._database = database

    async def register(self, groups: Sequence[Sequence[Registration]]) -> dict[str, Registered]:
        """See ``ports.Ledger``. The first rows go in first: their primary key is what two writers meet at."""
        firsts = [group[0] for group in groups]

        def work(connection: Connection) -> dict[str, Registered]:
            self._database.insert_absent(connection, samples, [_row(first) for first in firsts])
            held = {row.sample_id: bytes(row.payload) for row in _rows(connection, [f.sample_id for f in firsts])}
            rest = [row for group in groups if held[group[0].sample_id] == group[0].payload for row in group[1:]]
            self._database.insert_absent(connection, samples, [_row(row) for row in rest])
            ids = [row.sample_id for group in groups for row in group]
            return {row.sample_id: _registered(row) for row in _rows(connection, ids)}

        return await self._database.transact(work)

    async def attempt(self, sample_ids: Sequence[str]) -> dict[str, int]:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> dict[str, int]:
            connection.execute(update(samples).where(_id.in_(sample_ids)).values(attempts=samples.c.attempts + 1))
            return {row.sample_id: row.attempts for row in _rows(connection, sample_ids)}

        return await self._database.transact(work)

    async def take_back_attempt(self, sample_ids: Sequence[str]) -> None:
        """See ``ports.Ledger``."""
        statement = update(samples).where(_id.in_(sample_ids), samples.c.attempts > 0)
        statement = statement.values(attempts=samples.c.attempts - 1)
        await self._database.transact(lambda connection: connection.execute(statement))

    async def child_death(self, sample_id: str) -> int:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> int:
            deaths = samples.c.child_deaths + 1
            connection.execute(update(samples).where(_id == sample_id).values(child_deaths=deaths))
            return int(connection.execute(select(samples.c.child_deaths).where(_id == sample_id)).scalar_one())

        return await self._database.transact(work)

    async def pin_images(self, images: Mapping[str, ImageRef]) -> dict[str, ImageRef]:
        """See ``ports.Ledger``."""
        statement = (
            update(samples)
            .where(_id == bindparam("wanted"), samples.c.image_sha256.is_(None))
            .values(image_sha256=bindparam("sha256"), image_size=bindparam("size"))
        )
        rows = [{"wanted": key, "sha256": ref.sha256, "size": ref.size} for key, ref in images.items()]

        def work(connection: Connection) -> dict[str, ImageRef]:
            if rows:
                connection.execute(statement, rows)
            held = {row.sample_id: _image(row) for row in _rows(connection, list(images))}
            return {key: image for key, image in held.items() if image is not None}

        return await self._database.transact(work)

    async def decide(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """See ``ports.Ledger``."""
        statement = (
            update(samples)
            .where(_id == bindparam("wanted"), samples.c.state == State.IN_FLIGHT)
            .values({name: bindparam(name) for name in _OUTCOME_COLUMNS})
        )

        def work(connection: Connection) -> list[Outcome]:
            if outcomes:
                connection.execute(statement, [_outcome_row(outcome) for outcome in outcomes])
            held = {row.sample_id: outcome_of(row) for row in _rows(connection, [o.sample_id for o in outcomes])}
            return [held[outcome.sample_id] for outcome in outcomes]

        return await self._database.transact(work)

    async def outcomes(self, sample_ids: Sequence[str]) -> dict[str, Outcome]:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> dict[str, Outcome]:
            rows = _rows(connection, sample_ids)
            return {row.sample_id: outcome_of(row) for row in rows if row.state != State.IN_FLIGHT}

        return await self._database.transact(work)

    async def unpublished(self, older_than: datetime, limit: int) -> list[Outcome]:
        """See ``ports.Ledger``."""
        statement = (
            select(samples)
            .where(
                samples.c.state != State.IN_FLIGHT,
                _undelivered,
                samples.c.time < to_micros(older_than),
            )
            .order_by(samples.c.time, _id)
            .limit(limit)
        )
        return await self._database.transact(
            lambda connection: [outcome_of(row) for row in connection.execute(statement)]
        )

    async def published(self, sample_ids: Sequence[str]) -> None:
        """See ``ports.Ledger``."""
        statement = (
            update(samples)
            # A row that was reopened meanwhile has no record yet: its next one would count as delivered.
            .where(_id.in_(sample_ids), _undelivered, samples.c.state != State.IN_FLIGHT)
            .values(published_at=to_micros(datetime.now(UTC)))
        )
        await self._database.transact(lambda connection: connection.execute(statement))

    async def in_flight(
        self, older_than: datetime, limit: int, *, after: Registration | None = None
    ) -> list[Registration]:
        """See ``ports.Ledger``."""
        order = (samples.c.registered_at, _id)
        statement = (
            select(samples)
            .where(samples.c.state == State.IN_FLIGHT, _undelivered, order[0] < to_micros(older_than))
            .order_by(*order)
            .limit(limit)
        )
        if after is not None:
            statement = statement.where(tuple_(*order) > (to_micros(after.at), after.sample_id))
        return await self._database.transact(
            lambda connection: [_registered(row).registration for row in connection.execute(statement)]
        )

    async def delivers_to(self, cluster: str, *, newer_than: datetime) -> int:
        """See ``ports.Ledger``."""
        forget = (
            update(samples)
            .where(samples.c.published_at.is_not(None), samples.c.time >= to_micros(newer_than))
            .values(published_at=None)
        )

        def work(connection: Connection) -> int:
            self._database.insert_absent(connection, _delivery, [{"the_only_row": 1, "cluster": cluster}])
            if connection.execute(select(_delivery.c.cluster)).scalar_one() == cluster:
                return 0
            connection.execute(update(_delivery).values(cluster=cluster))
            return int(connection.execute(forget).rowcount)

        return await self._database.transact(work)


_OUTCOME_COLUMNS = ("state", "topic", "key", "value", "headers", "time", "measurement")


def _rows(connection: Connection, sample_ids: Sequence[str]) -> list[Row[Any]]:
    return list(connection.execute(select(samples).where(_id.in_(sample_ids))))


def _row(registration: Registration) -> dict[str, Any]:
    image = registration.image
    return {
        "sample_id": registration.sample_id,
        "kind": registration.kind,
        "payload": registration.payload,
        "identity": registration.identity,
        "model": registration.model,
        "model_version": registration.model_version,
        "seed": registration.seed,
        "image_sha256": image.sha256 if image else None,
        "image_size": image.size if image else None,
        "registered_at": to_micros(registration.at),
        "state": State.IN_FLIGHT,
        "attempts": 0,
        "child_deaths": 0,
    }


def _image(row: Row[Any]) -> ImageRef | None:
    return ImageRef(sha256=row.image_sha256, size=row.image_size) if row.image_sha256 else None


def _registered(row: Row[Any]) -> Registered:
    registration = Registration(
        sample_id=row.sample_id,
        kind=row.kind,
        payload=bytes(row.payload),
        at=from_micros(row.registered_at),
        identity=row.identity,
        model=row.model,
        model_version=row.model_version,
        seed=row.seed,
        image=_image(row),
    )
    return Registered(registration, State(row.state), row.attempts)


def _outcome_row(outcome: Outcome) -> dict[str, Any]:
    record = outcome.record
    return {
        "wanted": outcome.sample_id,
        "state": outcome.state,
        "topic": record.topic,
        "key": record.key,
        "value": record.value,
        "headers": headers_to_text(record.headers),
        "time": to_micros(record.time),
        "measurement": outcome.measurement,
    }


def outcome_of(row: Row[Any]) -> Outcome:
    """Return the outcome that a decided row holds."""
    return Outcome(row.sample_id, State(row.state), record_of(row), row.measurement, row.published_at is not None)


def record_of(row: Row[Any]) -> Record:
    """Return the record that a row holds in the columns topic, key, value, headers and time."""
    headers: Headers = tuple(
        (name, None if value is None else bytes.fromhex(value)) for name, value in json.loads(row.headers)
    )
    return Record(row.topic, _bytes(row.key), _bytes(row.value), headers, from_micros(row.time))


def headers_to_text(headers: Headers) -> str:
    """Return the headers as a column holds them: any bytes, in order, some without a value."""
    return json.dumps([[name, None if value is None else value.hex()] for name, value in headers])


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
