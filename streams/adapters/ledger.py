"""The ledger on SQL: one row a sample, decided once, with the record to publish in the row (transactional outbox)."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    Connection,
    Integer,
    LargeBinary,
    Row,
    String,
    Table,
    Text,
    bindparam,
    select,
    update,
)

from streams.adapters.database import Database, from_micros, metadata, to_micros
from streams.core.ledger import Outcome, Registered, Registration, State
from streams.core.records import Record
from streams.events import Headers, ImageRef

_sample = Table(
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
_id = _sample.c.sample_id


class SqlLedger:
    """Implements ``ports.Ledger``."""

    def __init__(self, database: Database) -> None:
        """Use an opened database."""
        self._database = database

    async def register(self, groups: Sequence[Sequence[Registration]]) -> dict[str, Registered]:
        """See ``ports.Ledger``. The first rows go in first: their primary key is what two writers meet at."""
        firsts = [group[0] for group in groups]

        def work(connection: Connection) -> dict[str, Registered]:
            self._database.insert_absent(connection, _sample, [_row(first) for first in firsts])
            held = {row.sample_id: bytes(row.payload) for row in _rows(connection, [f.sample_id for f in firsts])}
            rest = [row for group in groups if held[group[0].sample_id] == group[0].payload for row in group[1:]]
            self._database.insert_absent(connection, _sample, [_row(row) for row in rest])
            ids = [row.sample_id for group in groups for row in group]
            return {row.sample_id: _registered(row) for row in _rows(connection, ids)}

        return await self._database.transact(work)

    async def attempt(self, sample_ids: Sequence[str]) -> dict[str, int]:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> dict[str, int]:
            connection.execute(update(_sample).where(_id.in_(sample_ids)).values(attempts=_sample.c.attempts + 1))
            return {row.sample_id: row.attempts for row in _rows(connection, sample_ids)}

        return await self._database.transact(work)

    async def release(self, sample_ids: Sequence[str]) -> None:
        """See ``ports.Ledger``."""
        statement = update(_sample).where(_id.in_(sample_ids), _sample.c.attempts > 0)
        statement = statement.values(attempts=_sample.c.attempts - 1)
        await self._database.transact(lambda connection: connection.execute(statement))

    async def child_death(self, sample_id: str) -> int:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> int:
            deaths = _sample.c.child_deaths + 1
            connection.execute(update(_sample).where(_id == sample_id).values(child_deaths=deaths))
            return int(connection.execute(select(_sample.c.child_deaths).where(_id == sample_id)).scalar_one())

        return await self._database.transact(work)

    async def pin_images(self, images: Mapping[str, ImageRef]) -> dict[str, ImageRef]:
        """See ``ports.Ledger``."""
        statement = (
            update(_sample)
            .where(_id == bindparam("wanted"), _sample.c.image_sha256.is_(None))
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
            update(_sample)
            .where(_id == bindparam("wanted"), _sample.c.state == State.IN_FLIGHT)
            .values({name: bindparam(name) for name in _OUTCOME_COLUMNS})
        )

        def work(connection: Connection) -> list[Outcome]:
            if outcomes:
                connection.execute(statement, [_outcome_row(outcome) for outcome in outcomes])
            held = {row.sample_id: _outcome(row) for row in _rows(connection, [o.sample_id for o in outcomes])}
            return [held[outcome.sample_id] for outcome in outcomes]

        return await self._database.transact(work)

    async def outcomes(self, sample_ids: Sequence[str]) -> dict[str, Outcome]:
        """See ``ports.Ledger``."""

        def work(connection: Connection) -> dict[str, Outcome]:
            rows = _rows(connection, sample_ids)
            return {row.sample_id: _outcome(row) for row in rows if row.state != State.IN_FLIGHT}

        return await self._database.transact(work)

    async def unpublished(self, older_than: datetime, limit: int) -> list[Outcome]:
        """See ``ports.Ledger``."""
        statement = (
            select(_sample)
            .where(
                _sample.c.state != State.IN_FLIGHT,
                _sample.c.published_at.is_(None),
                _sample.c.time < to_micros(older_than),
            )
            .order_by(_sample.c.time, _id)
            .limit(limit)
        )
        return await self._database.transact(
            lambda connection: [_outcome(row) for row in connection.execute(statement)]
        )

    async def published(self, sample_ids: Sequence[str]) -> None:
        """See ``ports.Ledger``."""
        statement = (
            update(_sample)
            .where(_id.in_(sample_ids), _sample.c.published_at.is_(None))
            .values(published_at=to_micros(datetime.now(UTC)))
        )
        await self._database.transact(lambda connection: connection.execute(statement))


_OUTCOME_COLUMNS = ("state", "topic", "key", "value", "headers", "time", "measurement")


def _rows(connection: Connection, sample_ids: Sequence[str]) -> list[Row[Any]]:
    return list(connection.execute(select(_sample).where(_id.in_(sample_ids))))


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
        "headers": json.dumps([[name, None if value is None else value.hex()] for name, value in record.headers]),
        "time": to_micros(record.time),
        "measurement": outcome.measurement,
    }


def _outcome(row: Row[Any]) -> Outcome:
    headers: Headers = tuple(
        (name, None if value is None else bytes.fromhex(value)) for name, value in json.loads(row.headers)
    )
    record = Record(row.topic, _bytes(row.key), _bytes(row.value), headers, from_micros(row.time))
    published = row.published_at is not None
    return Outcome(row.sample_id, State(row.state), record, row.measurement, published)


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
