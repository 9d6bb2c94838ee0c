"""SQLite as the ledger's database, on one machine: survives a power cut, lets readers read, locks at once."""

import sqlite3
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import URL
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_random

from streams.errors import BadInput, DependencyUnavailable

#: How long a writer waits for another one's short transaction.
BUSY_TIMEOUT_MS = 10_000


def engine_of(url: URL) -> Engine:
    """Return an engine for a file; its folder is made.

    Raises:
        BadInput: If the folder cannot be made.
    """
    engine = create_engine(url)
    _durable(engine)
    if url.database:
        _make_folder(Path(url.database).parent)
    return engine


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(
            f"the ledger's folder {folder} cannot be made: {error.strerror}; set LIKENESS_LEDGER to a database in a"
            " folder that can be written"
        ) from error


def _durable(engine: Engine) -> None:
    """Switch off the driver's own transaction handling: it begins late and so meets a busy database in mid-work."""

    @event.listens_for(engine, "connect")
    def _settings(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        for pragma in (f"busy_timeout={BUSY_TIMEOUT_MS}", "synchronous=FULL"):
            connection.execute(f"PRAGMA {pragma}").close()
        _write_ahead(connection)

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")


def rewrite(engine: Engine) -> None:
    """Write the file anew with what it holds, and empty the log beside it: deleted rows lie on in both until then.

    Raises:
        DependencyUnavailable: If others did not let go of the file for long.
    """
    connection = engine.raw_connection()
    try:
        _rewrite(connection)
    except sqlite3.OperationalError as error:
        detail = f"the ledger's file is in use ({error}): try again while less is going on"
        raise DependencyUnavailable("ledger", detail) from error
    finally:
        connection.close()


@retry(
    retry=retry_if_exception_type(sqlite3.OperationalError),
    wait=wait_random(0, 0.1),
    stop=stop_after_delay(BUSY_TIMEOUT_MS / 1000),
    reraise=True,
)
def _rewrite(connection: Any) -> None:
    connection.execute("VACUUM").close()
    busy, _, _ = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    if busy:
        raise sqlite3.OperationalError("somebody reads its log")


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
