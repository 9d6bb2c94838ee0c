"""The ledger's rows as the checker reads them: with SQL of its own, values kept as digests."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from sqlalchemy import Connection, bindparam, create_engine, inspect, text

from streams.tools.audit.records import digest, envelope

#: Ids in one query: SQLite takes 999 and more, PostgreSQL many more.
_AT_A_TIME = 500

_COLUMNS = "sample_id, state, topic, key, value, headers, time, registered_at, published_at"
_EVERY_ROW = text(f"SELECT {_COLUMNS} FROM sample")  # noqa: S608 - columns of our own
_SOME_ROWS = text(f"SELECT {_COLUMNS} FROM sample WHERE sample_id IN :ids").bindparams(  # noqa: S608
    bindparam("ids", expanding=True)
)
_TAKEN_BACK = text("SELECT sample_id, topic, value FROM redrive WHERE reopened = 1")


@dataclass(frozen=True, slots=True)
class Row:
    """What the ledger says of one sample."""

    sample_id: str
    state: str
    topic: str | None = None
    """Where its end belongs; None while nothing is decided."""
    value: bytes = b""
    envelope: bytes = b""
    """Digest of key and headers."""
    time_ms: int = 0
    registered_at: int = 0
    """Microseconds since 1970."""
    published_at: int | None = None
    """Since when the ledger calls its end delivered; microseconds since 1970."""


class Ledger:
    """Reads, and takes no lock that a writer waits for."""

    def __init__(self, url: str) -> None:
        """Take an SQLAlchemy URL. Nothing is connected yet."""
        self._engine = create_engine(url)

    def __enter__(self) -> Self:
        """Connect with the first query."""
        return self

    def __exit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        self._engine.dispose()

    def everything(self) -> dict[str, Row]:
        """Return every row by its sample id."""
        with self._engine.connect() as connection:
            result = connection.execution_options(yield_per=1000).execute(_EVERY_ROW)
            return {row.sample_id: _row(row) for row in result}

    def some(self, sample_ids: Iterable[str]) -> dict[str, Row]:
        """Return those of the rows that are there."""
        ids = sorted(set(sample_ids))
        with self._engine.connect() as connection:
            return {row.sample_id: row for piece in _pieces(ids) for row in _few(connection, piece)}

    def taken_back(self) -> set[tuple[str, str, bytes]]:
        """Return id, topic and digest of every dead letter that was sent back: it ends nothing any more."""
        with self._engine.connect() as connection:
            if not inspect(connection).has_table("redrive"):
                return set()
            return {(row.sample_id, row.topic, digest(_bytes(row.value))) for row in connection.execute(_TAKEN_BACK)}


def _few(connection: Connection, ids: Sequence[str]) -> list[Row]:
    return [_row(row) for row in connection.execute(_SOME_ROWS, {"ids": list(ids)})]


def _pieces(ids: Sequence[str]) -> Iterable[Sequence[str]]:
    return (ids[start : start + _AT_A_TIME] for start in range(0, len(ids), _AT_A_TIME))


def _row(row: Any) -> Row:
    times = {"registered_at": row.registered_at, "published_at": row.published_at}
    if row.topic is None:
        return Row(row.sample_id, row.state, **times)
    headers = [(name, None if value is None else bytes.fromhex(value)) for name, value in json.loads(row.headers)]
    return Row(
        row.sample_id,
        row.state,
        row.topic,
        digest(_bytes(row.value)),
        envelope(_bytes(row.key), headers),
        row.time // 1000,
        **times,
    )


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)
