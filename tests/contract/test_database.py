"""What is asked of a database of either kind: an outage is waited for, a mistake of ours is none."""

import asyncio
import multiprocessing
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, OperationalError, ProgrammingError

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.errors import meaning_of, mends_itself
from streams.errors import BadInput, DependencyUnavailable, Unready


async def run(database: Database, statement: str) -> None:
    await database.transact(lambda connection: connection.execute(text(statement)))


@pytest.mark.parametrize(
    "statement",
    ["SELECT strange FROM sample", "SELECT * FROM nowhere", "INSERT INTO sample (strange) VALUES (1)"],
)
async def test_tables_of_another_version_are_no_outage(database: Database, statement: str):
    with pytest.raises(Unready, match="tables of this version"):
        await run(database, statement)


async def test_a_mistake_of_ours_is_no_outage(database: Database):
    with pytest.raises(DBAPIError, match="syntax"):
        await run(database, "SELEKT 1")


async def test_what_raises_leaves_nothing_behind(database: Database):
    def half(connection) -> None:
        connection.execute(text("INSERT INTO delivery (the_only_row, cluster) VALUES (1, 'half')"))
        raise BadInput("on second thoughts")

    with pytest.raises(BadInput):
        await database.transact(half)

    assert await database.transact(lambda connection: connection.execute(text("SELECT * FROM delivery")).all()) == []


async def test_a_database_that_cannot_be_opened_is_waited_for(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/mount/ledger.db")
    (tmp_path / "mount").rmdir()

    with pytest.raises(DependencyUnavailable, match="unable to open"):
        await database.open()

    (tmp_path / "mount").mkdir()
    await database.open()
    await database.close()


async def test_a_file_that_is_full_is_waited_for(sqlite_url: str):
    database = Database(sqlite_url)
    await database.open()

    def fill(connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
        connection.exec_driver_sql("CREATE TABLE filler AS SELECT zeroblob(1000000) AS zeroes")

    with pytest.raises(DependencyUnavailable, match="full"):
        await database.transact(fill)
    await database.close()


def test_a_disk_that_is_full_is_waited_for_and_what_was_committed_is_there(sqlite_url: str):
    # In a process of its own, which is allowed no file larger than this.
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        committed = pool.apply(fill_up, (sqlite_url, 400_000))

    assert committed > 0
    assert asyncio.run(rows(sqlite_url)) == committed


def fill_up(url: str, most_bytes: int) -> int:
    """Write until there is no room; return how many transactions were confirmed."""
    import resource

    resource.setrlimit(resource.RLIMIT_FSIZE, (most_bytes, most_bytes))

    async def write() -> int:
        database, written = Database(url), 0
        filling = "INSERT INTO consent (identity, kind, at, note) VALUES ('anna', 'granted', 0, 'a long note')"
        filling = filling.replace("long", "long " * 2000)
        try:
            await database.open()
            while True:
                await run(database, filling)
                written += 1
        except DependencyUnavailable:
            return written
        finally:
            await database.close()

    return asyncio.run(write())


async def rows(url: str) -> int:
    database = Database(url)
    try:
        counted = text("SELECT count(*) FROM consent")
        return await database.transact(lambda connection: int(connection.execute(counted).scalar_one()))
    finally:
        await database.close()


async def test_a_file_that_is_locked_for_long_is_waited_for(sqlite_url: str, monkeypatch: pytest.MonkeyPatch):
    database = Database(sqlite_url)
    await database.open()
    monkeypatch.setattr("streams.adapters.ledger.sqlite.BUSY_TIMEOUT_MS", 50)
    impatient = Database(sqlite_url)

    def hold(_connection: object) -> None:
        with pytest.raises(DependencyUnavailable, match="locked"):
            asyncio.run(run(impatient, "SELECT 1"))

    await database.transact(hold)
    await impatient.close()
    await database.close()


async def test_a_file_that_is_no_database_is_bad_input(tmp_path: Path):
    (tmp_path / "ledger.db").write_bytes(b"a letter to my aunt " * 500)
    database = Database(f"sqlite:///{tmp_path}/ledger.db")

    with pytest.raises(BadInput, match="LIKENESS_LEDGER"):
        await database.open()
    await database.close()


@pytest.mark.parametrize(
    "url",
    ["no url", "nosql:///x.db", "mysql://host/ledger", "postgresql+asyncpg://host/ledger", "postgres://host/ledger"],
)
def test_a_url_that_names_no_database_is_refused_with_examples(url: str):
    with pytest.raises(BadInput, match=r"sqlite:////var/lib/likeness/ledger\.db or postgresql://"):
        Database(url)


@pytest.mark.parametrize("kind", ["nosql", "mysql", "postgresql+asyncpg"])
def test_a_url_is_not_repeated_because_it_may_hold_a_password(kind: str):
    with pytest.raises(BadInput) as refused:
        Database(f"{kind}://likeness:secret@host/ledger")

    assert "secret" not in str(refused.value)


class OfServer(Exception):
    """Stands for what a driver of PostgreSQL raises; what the server itself says is in ``test_postgresql``."""

    def __init__(self, state: str | None) -> None:
        super().__init__(f"state {state}")
        self.sqlstate = state


OfServer.__name__ = "OperationalError"


@pytest.mark.parametrize("state", [None, "08006", "53300", "55P03", "57P01", "40001", "40P01", "25006", "25P03"])
def test_what_a_server_cannot_do_now_is_an_outage(state: str | None):
    assert isinstance(meaning_of(OperationalError("SELECT 1", {}, OfServer(state))), DependencyUnavailable)


@pytest.mark.parametrize("state", ["42703", "42P01"])
def test_a_table_or_column_that_a_server_does_not_have_is_another_version(state: str):
    assert isinstance(meaning_of(ProgrammingError("SELECT 1", {}, OfServer(state))), Unready)


@pytest.mark.parametrize("state", ["42601", "23505", "22001"])
def test_what_a_server_says_of_our_statement_means_nothing_else(state: str):
    assert meaning_of(ProgrammingError("SELECT 1", {}, OfServer(state))) is None


def test_sqlites_own_errors_without_a_code_mean_nothing_else():
    error = ProgrammingError("SELECT 1", {}, sqlite3.ProgrammingError("closed"))

    assert meaning_of(error) is None
    assert not mends_itself(error)
