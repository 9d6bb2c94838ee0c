"""One SQL database for the ledger and the consent register: SQLite; written for PostgreSQL too, which is not tested."""

import asyncio
import sqlite3
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Column, Connection, Engine, Integer, MetaData, Table, create_engine, event, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from streams.adapters.database_errors import meaning_of
from streams.errors import BadInput, Unready

T = TypeVar("T")

metadata = MetaData()
"""Every table; each module that owns one adds it here."""

#: Raised by one with every change of a table.
SCHEMA_VERSION = 1

_meta = Table(
    "meta",
    metadata,
    Column("the_only_row", Integer, primary_key=True, autoincrement=False),
    Column("schema_version", Integer, nullable=False),
)

#: How long a writer waits for another one's short transaction.
BUSY_TIMEOUT_MS = 10_000


class Database:
    """Runs short transactions off the event loop."""

    def __init__(self, url: str) -> None:
        """Take an SQLAlchemy URL. Nothing is connected yet."""
        try:
            self._engine = create_engine(url, pool_pre_ping=True)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            # The URL itself may hold a password, so it is not repeated.
            raise BadInput(
                f"the ledger's URL cannot be used: {error}; expected something like"
                " sqlite:////var/lib/likeness/ledger.db, or install the driver that it names"
            ) from error
        if self._engine.dialect.name == "sqlite":
            _durable_sqlite(self._engine)
            path = make_url(url).database
            if path:
                _make_folder(Path(path).parent)

    async def open(self) -> None:
        """Create the tables that are missing.

        Raises:
            BadInput: If the file is no database.
            DependencyUnavailable: As ``transact`` says.
            Unready: If the tables are those of another version of Likeness.
        """
        await self.transact(self._open)

    async def close(self) -> None:
        """Give every connection back."""
        await asyncio.to_thread(self._engine.dispose)

    async def transact(self, work: Callable[[Connection], T]) -> T:
        """Run ``work`` in one transaction, in a thread.

        Raises:
            DependencyUnavailable: If the database does not answer, is locked for long, or is out of space.
            Unready: If a table or a column is not there.
        """
        return await asyncio.to_thread(self._transact, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        try:
            with self._engine.begin() as connection:
                return work(connection)
        except DBAPIError as error:
            meaning = meaning_of(error)
            if meaning is None:
                raise
            raise meaning from error

    def _open(self, connection: Connection) -> None:
        """Check the version before a table is added: a database of another version is left as it is."""
        _meta.create(connection, checkfirst=True)
        self.insert_absent(connection, _meta, [{"the_only_row": 1, "schema_version": SCHEMA_VERSION}])
        found = connection.execute(select(_meta.c.schema_version)).scalar_one()
        if found != SCHEMA_VERSION:
            raise Unready(
                f"expected a ledger whose tables have version {SCHEMA_VERSION}, got version {found}: set"
                " LIKENESS_LEDGER to another database, or run the version of Likeness that made this one"
            )
        metadata.create_all(connection)

    def insert_absent(self, connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
        """Insert the rows whose key is not there yet; leave the others as they are."""
        if rows:
            dialect = sqlite if self._engine.dialect.name == "sqlite" else postgresql
            connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"the ledger's folder {folder} cannot be made: {error.strerror}; set LIKENESS_LEDGER to a database in a"
            " folder that can be written"
        ) from error


def _durable_sqlite(engine: Engine) -> None:
    """Give SQLite its settings: survive a power cut, let readers read, take the write lock at once.

    The driver's own transaction handling is switched off: it begins late and so meets a busy database in mid-work.
    """

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").close()
        _write_ahead(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


@retry(
    retry=retry_if_exception_type(sqlite3.OperationalError),
    wait=wait_random(0, 0.1),
    stop=stop_after_delay(BUSY_TIMEOUT_MS / 1000),
    reraise=True,
)
def _write_ahead(connection: Any) -> None:
    """Switch to WAL mode, which the file remembers. Of two that switch at once one is told "locked" without waiting."""
    if connection.execute("PRAGMA journal_mode").fetchone() != ("wal",):
        connection.execute("PRAGMA journal_mode=WAL").close()


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970: exact, ordered, the same on every database."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """Return the moment in UTC; the inverse of ``to_micros``."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest)
