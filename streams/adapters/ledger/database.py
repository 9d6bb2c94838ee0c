"""One SQL database for the ledger and the consent register: SQLite on one machine, PostgreSQL for several."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, MetaData, Table
from sqlalchemy.dialects import postgresql as postgresql_dialect
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, NoSuchModuleError
from sqlalchemy.exc import TimeoutError as NoConnectionFree
from tenacity import Retrying, retry_if_exception, stop_after_attempt, wait_random_exponential

from streams.adapters.ledger import postgresql, sqlite
from streams.adapters.ledger.errors import meaning_of, mends_itself
from streams.adapters.ledger.migrations import HEAD, bring_to_head, reached
from streams.errors import BadInput, DependencyUnavailable

T = TypeVar("T")

metadata = MetaData()
"""Every table; each module that owns one adds it here, and a migration makes it."""

#: How often a transaction is run that the server rolled back for another one's sake, or whose connection was stale.
ATTEMPTS = 5
#: Seconds that the tables of a large ledger may take to become those of this version.
MIGRATION_SECONDS = 3600


class Database:
    """Runs short transactions off the event loop."""

    def __init__(self, url: str, *, call_seconds: float = postgresql.CALL_SECONDS) -> None:
        """Nothing is connected yet.

        Args:
            url: An SQLAlchemy URL, ``sqlite:///…`` or ``postgresql://…``.
            call_seconds: After how long a server that says nothing is given up.

        Raises:
            BadInput: If the URL names no database of these two kinds.
        """
        self._engine = _engine_of(url)
        self._call_seconds = call_seconds
        self._calls = postgresql.Calls()
        if self.is_server:
            postgresql.let_hang_up(self._engine, self._calls)

    @property
    def is_server(self) -> bool:
        """Whether this is PostgreSQL, where transactions run beside each other; SQLite runs one at a time."""
        return self._engine.dialect.name == "postgresql"

    async def open(self) -> None:
        """Make the tables, or bring those of an earlier version of Likeness to this one, which may take long.

        Raises:
            BadInput: If the file is no database.
            DependencyUnavailable: As ``transact`` says.
            Unready: If the tables are those of a later version of Likeness, or of somebody else.
        """
        if await self.transact(reached) != HEAD:
            await self.transact(bring_to_head, at_most_seconds=MIGRATION_SECONDS)

    async def close(self) -> None:
        """Give every connection back."""
        await asyncio.to_thread(self._engine.dispose)

    async def transact(self, work: Callable[[Connection], T], *, at_most_seconds: float | None = None) -> T:
        """Run ``work`` in one transaction, in a thread; again, where the server rolled it back for another's sake.

        Args:
            work: Is given the connection; whatever it raises rolls back.
            at_most_seconds: After how long a server is given up; that of the database where None.

        Raises:
            DependencyUnavailable: If the database does not answer, is locked for long, or is out of space. What was
                asked may be done all the same, where the connection broke before the database could say so.
            Unready: If a table or a column is not there.
        """
        hang_up = postgresql.HangUp(self._call_seconds if at_most_seconds is None else at_most_seconds)
        call = asyncio.get_running_loop().run_in_executor(None, partial(self._transact, work, hang_up))
        if self.is_server:
            timer = asyncio.get_running_loop().call_later(hang_up.after_seconds, hang_up)
            call.add_done_callback(lambda _: timer.cancel())
        # Whoever is cancelled leaves the thread behind, which must end for the process to end: its timer goes on.
        return await asyncio.shield(call)

    def _transact(self, work: Callable[[Connection], T], hang_up: postgresql.HangUp) -> T:
        self._calls.current = hang_up
        again = Retrying(
            retry=retry_if_exception(lambda error: not hang_up.done and mends_itself(error)),
            wait=wait_random_exponential(multiplier=0.02, max=1),
            stop=stop_after_attempt(ATTEMPTS),
            reraise=True,
        )
        try:
            result: T = again(self._once, work)
            return result
        except NoConnectionFree as error:
            raise DependencyUnavailable("ledger", f"every connection is in use: {error}") from error
        except DBAPIError as error:
            if hang_up.done:
                detail = f"the server said nothing for {hang_up.after_seconds:g} s, so the connection was ended"
                raise DependencyUnavailable("ledger", detail) from error
            meaning = meaning_of(error)
            if meaning is None:
                raise
            raise meaning from error
        finally:
            hang_up.let_go()
            self._calls.current = None

    def _once(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as connection:
            return work(connection)

    async def rewrite(self) -> bool:
        """Write an SQLite file anew, without what was deleted from it; False on a server, which has ways of its own.

        Raises:
            DependencyUnavailable: If others did not let go of the file for long.
        """
        if self.is_server:
            return False
        await asyncio.to_thread(sqlite.rewrite, self._engine)
        return True

    def insert_absent(self, connection: Connection, table: Table, rows: list[dict[str, Any]]) -> None:
        """Insert the rows whose key is not there yet, in the given order; leave the others as they are."""
        if rows:
            dialect = postgresql_dialect if self.is_server else sqlite_dialect
            connection.execute(dialect.insert(table).on_conflict_do_nothing(), rows)


def _engine_of(url: str) -> Engine:
    # The URL itself may hold a password, so it is not repeated.
    expected = "expected such as sqlite:////var/lib/likeness/ledger.db or postgresql://user:password@host/likeness"
    kinds = {("sqlite", "pysqlite"): sqlite.engine_of, ("postgresql", "psycopg"): postgresql.engine_of}
    try:
        parsed = make_url(url)
        kind = kinds.get((parsed.get_backend_name(), parsed.get_driver_name()))
        if kind is None:
            raise BadInput(f"the ledger's URL names {parsed.drivername!r}, which cannot hold a ledger; {expected}")
        return kind(parsed)
    except ModuleNotFoundError as error:
        raise BadInput(f"the ledger's database needs a driver: {error}; pip install 'likeness-qc[postgres]'") from error
    except (ArgumentError, NoSuchModuleError) as error:
        raise BadInput(f"the ledger's URL cannot be used: {error}; {expected}") from error


def to_micros(moment: datetime) -> int:
    """Return microseconds since 1970: exact, ordered, the same on every database."""
    delta = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (delta.days * 86_400 + delta.seconds) * 1_000_000 + delta.microseconds


def from_micros(micros: int) -> datetime:
    """Return the moment in UTC; the inverse of ``to_micros``."""
    seconds, rest = divmod(micros, 1_000_000)
    return datetime.fromtimestamp(seconds, tz=UTC).replace(microsecond=rest)
