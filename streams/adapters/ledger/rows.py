"""The ledger's tables, and its rows as values."""

import json
from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, Row, String, Table, Text

from streams.adapters.ledger.database import from_micros, metadata, to_micros
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
# Few rows of many: the reconciler looks for them time and again.
undelivered = samples.c.published_at.is_(None)
Index(
    "sample_undelivered",
    samples.c.registered_at,
    samples.c.sample_id,
    sqlite_where=undelivered,
    postgresql_where=undelivered,
)

delivery = Table(
    "delivery",
    metadata,
    Column("the_only_row", Integer, primary_key=True, autoincrement=False),
    Column("cluster", String(200), nullable=False),
)

#: What an end writes.
OUTCOME_COLUMNS = ("state", "topic", "key", "value", "headers", "time", "measurement")


def row_of(registration: Registration) -> dict[str, Any]:
    """Return the row of a sample that was just registered."""
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


def image_of(row: Row[Any]) -> ImageRef | None:
    """Return the image that a row is pinned to."""
    return ImageRef(sha256=row.image_sha256, size=row.image_size) if row.image_sha256 else None


def registered(row: Row[Any]) -> Registered:
    """Return what a row says of its sample."""
    registration = Registration(
        sample_id=row.sample_id,
        kind=row.kind,
        payload=bytes(row.payload),
        at=from_micros(row.registered_at),
        identity=row.identity,
        model=row.model,
        model_version=row.model_version,
        seed=row.seed,
        image=image_of(row),
    )
    return Registered(registration, State(row.state), row.attempts)


def outcome_row(outcome: Outcome) -> dict[str, Any]:
    """Return what an end writes into the row ``wanted``."""
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
