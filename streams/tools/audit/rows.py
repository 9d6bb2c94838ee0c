"""The ledger's rows, read with the auditor's own SQL and kept as digests."""

import asyncio
import hashlib
import hmac
import json
import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, inspect, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, NoSuchModuleError, SQLAlchemyError

from streams.database_urls import shown
from streams.errors import BadInput, DependencyUnavailable, LikenessError
from streams.tools.audit.records import asked_content, digest, envelope

T = TypeVar("T")

#: Rows that are in memory with their values at one time; what stays of a row is a few digests.
ROWS_AT_A_TIME = 1000

_EVERY_ROW = text(
    "SELECT sample_id, state, payload, identity, model, image_sha256, topic, key, value, headers, time, published_at,"
    " registered_at FROM sample"
)
_EVERY_ERASED = text("SELECT sample_id, n, value, envelope FROM erased_record")
_EVERY_FORGOTTEN = text("SELECT name_hash, called FROM erasure WHERE renamed_at IS NOT NULL")
_EVERY_REOPENED = text("SELECT sample_id, n, topic, key, value, headers, time, at FROM redrive WHERE reopened = 1")


@dataclass(frozen=True, slots=True)
class Superseded:
    """A dead letter that holds no longer, because its sample was put back in flight."""

    topic: str
    value: bytes
    envelope: bytes
    time_ms: int
    at_ms: int = 0
    """When it was taken back."""


Reopened = dict[str, tuple[Superseded, ...]]
"""Sample id to every dead letter that was taken back."""


@dataclass(frozen=True, slots=True)
class Row:
    """What the ledger says of one sample."""

    sample_id: str
    state: str
    content: bytes | None
    """Digest of the request that the row was registered for; None where no request registered it."""
    identity: str | None
    model: str | None
    image_sha256: str | None
    registered_ms: int
    topic: str | None = None
    """Where the record belongs; None while nothing is decided."""
    value: bytes = b""
    envelope: bytes = b""
    time_ms: int = 0
    published: bool = False
    superseded: tuple[Superseded, ...] = ()
    """What was taken back before the row was read."""

    @property
    def open_since_ms(self) -> int:
        """Since when the sample waits for its end: since it was registered, or last put back in flight."""
        return max([self.registered_ms, *(one.at_ms for one in self.superseded)])


async def read_rows(url: str, *, timeout_seconds: float) -> dict[str, Row]:
    """Return every row by its sample id, as one snapshot.

    Raises:
        BadInput: If the URL is none, or the database is no ledger.
        DependencyUnavailable: If the database does not answer in time.
    """
    return await _answered(url, _rows, timeout_seconds)


async def read_reopened(url: str, *, timeout_seconds: float) -> Reopened:
    """Return every dead letter that was taken back until now; raises as ``read_rows`` does."""
    return await _answered(url, _reopened, timeout_seconds)


async def read_names(url: str, *, timeout_seconds: float) -> Callable[[str], str]:
    """Return what tells how somebody is called who was forgotten; raises as ``read_rows`` does."""
    return await _answered(url, _names, timeout_seconds)


async def _answered(url: str, work: Callable[[Connection], T], timeout_seconds: float) -> T:
    try:
        async with asyncio.timeout(timeout_seconds):
            return await _in_own_thread(lambda: _read(url, work))
    except TimeoutError as error:
        detail = f"nothing came from {shown(url)} for {timeout_seconds:g} s; check LIKENESS_LEDGER and the database"
        raise DependencyUnavailable("ledger", detail) from error


def _read(url: str, work: Callable[[Connection], T]) -> T:
    engine = _engine(url)
    try:
        if not inspect(engine).has_table("sample"):
            raise BadInput(f"{shown(url)} has no table 'sample', so it is no ledger: check LIKENESS_LEDGER")
        with engine.connect() as connection:
            return work(connection)
    except SQLAlchemyError as error:
        detail = f"{shown(url)}: {error}; check LIKENESS_LEDGER and the database"
        raise DependencyUnavailable("ledger", detail) from error
    finally:
        engine.dispose()


def _engine(url: str) -> Engine:
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and not Path(parsed.database or "").is_file():
            # Opening it would create an empty database, and an empty ledger always balances.
            detail = f"there is no file {parsed.database}; start a worker once, or check LIKENESS_LEDGER"
            raise DependencyUnavailable("ledger", detail)
        return create_engine(parsed)
    except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
        raise BadInput(
            f"{shown(url)} cannot be used as the ledger: {error}; expected such as sqlite:////var/ledger.db,"
            " or install the driver that it names"
        ) from error


def _rows(connection: Connection) -> dict[str, Row]:
    # Before the rows: whatever is among these had reopened its row by the time that the rows are read.
    reopened = _reopened(connection)
    result = connection.execution_options(yield_per=ROWS_AT_A_TIME).execute(_EVERY_ROW)
    rows = {held.sample_id: _row(held, reopened.get(held.sample_id, ())) for held in result}
    # After the rows: what was emptied until they were read, has its digests here.
    for (sample_id, n), (value, kept_envelope) in _erased(connection).items():
        if n == 0 and sample_id in rows:
            rows[sample_id] = replace(rows[sample_id], value=value, envelope=kept_envelope)
    return rows


def _erased(connection: Connection) -> dict[tuple[str, int], tuple[bytes, bytes]]:
    """Return digests of records as they were published, of rows that hold less since somebody was forgotten."""
    if not inspect(connection).has_table("erased_record"):
        return {}
    held = connection.execute(_EVERY_ERASED)
    return {(row.sample_id, row.n): (bytes(row.value), bytes(row.envelope)) for row in held}


def _names(connection: Connection) -> Callable[[str], str]:
    key = None
    if inspect(connection).has_table("erasure_key"):
        key = connection.execute(text("SELECT key FROM erasure_key")).scalar()
    if key is None:
        return lambda name: name
    called = {row.name_hash: row.called for row in connection.execute(_EVERY_FORGOTTEN)}
    secret = bytes(key)
    return lambda name: called.get(hmac.new(secret, name.encode(), hashlib.sha256).hexdigest(), name)


def _reopened(connection: Connection) -> Reopened:
    if not inspect(connection).has_table("redrive"):
        return {}  # nobody ever sent a dead letter back
    reopened: Reopened = {}
    letters = list(connection.execute(_EVERY_REOPENED))
    erased = _erased(connection)
    for held in letters:
        as_held = digest(_bytes(held.value)), _envelope(held)
        value, kept_envelope = erased.get((held.sample_id, held.n), as_held)
        one = Superseded(held.topic, value, kept_envelope, held.time // 1000, held.at // 1000)
        reopened[held.sample_id] = (*reopened.get(held.sample_id, ()), one)
    return reopened


def _row(held: Any, superseded: tuple[Superseded, ...]) -> Row:
    content = asked_content(bytes(held.payload))
    named = (held.sample_id, held.state, content, held.identity, held.model, held.image_sha256)
    asked = (*named, held.registered_at // 1000)
    if held.topic is None:
        return Row(*asked, superseded=superseded)
    return Row(
        *asked,
        topic=held.topic,
        value=digest(_bytes(held.value)),
        envelope=_envelope(held),
        time_ms=held.time // 1000,
        published=held.published_at is not None,
        superseded=superseded,
    )


def _envelope(held: Any) -> bytes:
    headers = [(name, None if value is None else bytes.fromhex(value)) for name, value in json.loads(held.headers)]
    return envelope(_bytes(held.key), headers)


def _bytes(value: bytes | memoryview | None) -> bytes | None:
    return None if value is None else bytes(value)


async def _in_own_thread(work: Callable[[], T]) -> T:
    """Run blocking work in a daemon thread: a database that hangs must not keep the process from ending.

    The loop's executor would be joined at the end of ``asyncio.run``, however long the thread hangs.
    """
    future: Future[T] = Future()
    future.set_running_or_notify_cancel()  # from here on nobody can cancel it: it is set exactly once

    def run() -> None:
        try:
            future.set_result(work())
        except (SQLAlchemyError, LikenessError, ValueError, TypeError, OSError) as error:
            future.set_exception(error)

    threading.Thread(target=run, name="audit-ledger", daemon=True).start()
    return await asyncio.wrap_future(future)
