"""What the database's errors mean: an outage is waited for, another schema is refused, a mistake of ours is neither."""

import asyncio
import sqlite3
from pathlib import Path

import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError, ProgrammingError

from streams.adapters.database import SCHEMA_VERSION, Database
from streams.adapters.database_errors import meaning_of
from streams.errors import BadInput, DependencyUnavailable, Unready


async def run(database: Database, statement: str) -> None:
    await database.transact(lambda connection: connection.execute(text(statement)))


async def open_again(ledger_folder: Path) -> None:
    again = Database(f"sqlite:///{ledger_folder}/ledger.db")
    try:
        await again.open()
    finally:
        await again.close()


async def test_a_database_of_this_version_opens_again(database: Database, ledger_folder: Path):
    await open_again(ledger_folder)


async def test_a_database_of_another_version_is_refused_by_both_versions_and_left_as_it_is(
    database: Database, ledger_folder: Path
):
    await run(database, "UPDATE meta SET schema_version = 42")
    await run(database, "DROP TABLE consent")

    with pytest.raises(Unready, match=f"version {SCHEMA_VERSION}, got version 42"):
        await open_again(ledger_folder)

    with pytest.raises(Unready, match="consent"):
        await run(database, "SELECT * FROM consent")


@pytest.mark.parametrize(
    "statement",
    ["SELECT strange FROM sample", "SELECT * FROM nowhere", "INSERT INTO sample (strange) VALUES (1)"],
)
async def test_tables_of_another_version_are_no_outage(database: Database, statement: str):
    with pytest.raises(Unready, match="tables of this version"):
        await run(database, statement)


async def test_a_mistake_of_ours_is_no_outage(database: Database):
    with pytest.raises(OperationalError, match="syntax"):
        await run(database, "SELEKT 1")


async def test_a_database_that_cannot_be_opened_is_waited_for(tmp_path: Path):
    database = Database(f"sqlite:///{tmp_path}/mount/ledger.db")
    (tmp_path / "mount").rmdir()

    with pytest.raises(DependencyUnavailable, match="unable to open"):
        await database.open()

    (tmp_path / "mount").mkdir()
    await database.open()
    await database.close()


async def test_a_database_that_is_full_is_waited_for(database: Database):
    def fill(connection) -> None:
        connection.exec_driver_sql("PRAGMA max_page_count=1")
        connection.exec_driver_sql("CREATE TABLE filler AS SELECT zeroblob(1000000) AS zeroes")

    with pytest.raises(DependencyUnavailable, match="full"):
        await database.transact(fill)


async def test_a_file_that_is_no_database_is_bad_input(tmp_path: Path):
    (tmp_path / "ledger.db").write_bytes(b"a letter to my aunt " * 500)
    database = Database(f"sqlite:///{tmp_path}/ledger.db")

    with pytest.raises(BadInput, match="LIKENESS_LEDGER"):
        await database.open()
    await database.close()


async def test_several_that_open_a_new_database_at_once_all_find_it_whole(ledger_folder: Path):
    databases = [Database(f"sqlite:///{ledger_folder}/new.db") for _ in range(4)]
    await asyncio.gather(*(database.open() for database in databases))
    for database in databases:
        await run(database, "SELECT * FROM sample")
        await database.close()


class OfServer(Exception):
    """Stands for what a driver of PostgreSQL raises."""

    def __init__(self, state: str | None) -> None:
        super().__init__(f"state {state}")
        self.sqlstate = state


OfServer.__name__ = "OperationalError"


@pytest.mark.parametrize("state", [None, "08006", "53300", "55P03", "57P01", "40001", "40P01"])
def test_what_a_server_cannot_do_now_is_an_outage(state: str | None):
    assert isinstance(meaning_of(OperationalError("SELECT 1", {}, OfServer(state))), DependencyUnavailable)


@pytest.mark.parametrize("state", ["42703", "42P01"])
def test_a_table_or_column_that_a_server_does_not_have_is_another_version(state: str):
    assert isinstance(meaning_of(ProgrammingError("SELECT 1", {}, OfServer(state))), Unready)


@pytest.mark.parametrize("state", ["42601", "23505", "22001"])
def test_what_a_server_says_of_our_statement_means_nothing_else(state: str):
    assert meaning_of(ProgrammingError("SELECT 1", {}, OfServer(state))) is None


def test_sqlites_own_errors_without_a_code_mean_nothing_else():
    assert meaning_of(ProgrammingError("SELECT 1", {}, sqlite3.ProgrammingError("closed"))) is None
