"""How the tables come to be those of this version: from nothing, and from every version before, with all rows kept."""

import asyncio
import multiprocessing
import subprocess
import sys
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

from streams.adapters.ledger import consent, forgotten, redrives
from streams.adapters.ledger import rows as ledger_rows
from streams.adapters.ledger.charts import rows as chart_rows
from streams.adapters.ledger.clips import rows as clip_rows
from streams.adapters.ledger.database import Database, metadata
from streams.adapters.ledger.migrations import HEAD, VERSION_TABLE, reached
from streams.adapters.ledger.migrations.steps import every_step
from streams.adapters.ledger.samples import SqlLedger
from streams.core.consent import Terms
from streams.core.ledger import State
from streams.errors import Unready

#: What makes the tables of `metadata`, all of them.
_OWNERS = (chart_rows, clip_rows, consent, forgotten, ledger_rows, redrives)

#: The tables as they were made before there were steps, literally.
_BYTES = {"sqlite": "BLOB", "postgresql": "BYTEA"}
_SERIAL = {"sqlite": "INTEGER NOT NULL", "postgresql": "SERIAL NOT NULL"}
_META = "CREATE TABLE meta (the_only_row INTEGER NOT NULL, schema_version INTEGER NOT NULL, PRIMARY KEY (the_only_row))"
_SAMPLE = (
    "CREATE TABLE sample (sample_id VARCHAR(32) NOT NULL, kind VARCHAR(16) NOT NULL, payload {bytes} NOT NULL,"
    " identity VARCHAR(200), model VARCHAR(200), model_version VARCHAR(200), seed BIGINT, image_sha256 VARCHAR(64),"
    " image_size BIGINT, registered_at BIGINT NOT NULL, state VARCHAR(16) NOT NULL, attempts INTEGER NOT NULL,"
    " child_deaths INTEGER NOT NULL, topic VARCHAR(200), key {bytes}, value {bytes}, headers TEXT, time BIGINT,"
    " measurement TEXT, published_at BIGINT, PRIMARY KEY (sample_id))"
)
_INDEXES = (
    "CREATE INDEX ix_sample_registered_at ON sample (registered_at)",
    "CREATE INDEX sample_undelivered ON sample (registered_at, sample_id) WHERE published_at IS NULL",
)
_DELIVERY = (
    "CREATE TABLE delivery (the_only_row INTEGER NOT NULL, cluster VARCHAR(200) NOT NULL, PRIMARY KEY (the_only_row))"
)
_REDRIVE = (
    "CREATE TABLE redrive (sample_id VARCHAR(32) NOT NULL, n INTEGER NOT NULL, at BIGINT NOT NULL,"
    " reason VARCHAR(40) NOT NULL, note TEXT NOT NULL, reopened INTEGER NOT NULL, topic VARCHAR(200) NOT NULL,"
    " key {bytes}, value {bytes}, headers TEXT NOT NULL, time BIGINT NOT NULL, sent_at BIGINT,"
    " PRIMARY KEY (sample_id, n))"
)
_CONSENT = (
    "CREATE TABLE consent (entry {serial}, identity VARCHAR(200) NOT NULL, kind VARCHAR(16) NOT NULL,"
    " at BIGINT NOT NULL, expires BIGINT, note TEXT NOT NULL, PRIMARY KEY (entry))"
)
_CONSENT_INDEX = "CREATE INDEX ix_consent_identity ON consent (identity)"

OLD = {
    "everything": [_SAMPLE, *_INDEXES, _DELIVERY, _REDRIVE, _CONSENT, _CONSENT_INDEX],
    "before the reconciler": [_SAMPLE, _INDEXES[0], _CONSENT, _CONSENT_INDEX],
    "consent alone": [_CONSENT, _CONSENT_INDEX],
    "nothing but its version": [],
}
_ROWS = {
    "sample": "INSERT INTO sample VALUES ('s-0', 'training', CAST('asked' AS {bytes}), 'anna', NULL, NULL, 7, NULL,"
    " NULL, 1000, 'in_flight', 2, 1, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "consent": "INSERT INTO consent (identity, kind, at, note) VALUES ('anna', 'granted', 1000, 'form 1')",
}


async def run(database: Database, *statements: str) -> None:
    kind = "postgresql" if database.is_server else "sqlite"

    def work(connection) -> None:
        for statement in statements:
            connection.exec_driver_sql(statement.format(bytes=_BYTES[kind], serial=_SERIAL[kind]))

    await database.transact(work)


async def tables(database: Database) -> set[str]:
    return set(await database.transact(lambda connection: inspect(connection).get_table_names()))


@pytest.fixture
async def unopened(database_url: str):
    database = Database(database_url)
    yield database
    await database.close()


def test_the_head_is_the_last_step_and_the_steps_are_one_line():
    steps = every_step()

    assert steps.get_heads() == [HEAD]
    assert steps.get_bases() == ["0001"]


async def difference(database: Database) -> list[object]:
    """Return in what the tables differ from those that the code expects."""
    assert all(_OWNERS)
    return await database.transact(
        lambda connection: compare_metadata(
            MigrationContext.configure(connection, opts={"version_table": VERSION_TABLE}), metadata
        )
    )


async def test_a_new_database_has_the_tables_that_the_code_expects(database: Database):
    assert await difference(database) == []
    assert await tables(database) == {*metadata.tables, VERSION_TABLE}


@pytest.mark.parametrize("old", OLD)
async def test_a_database_from_before_the_steps_is_brought_to_the_head_with_its_rows(unopened: Database, old: str):
    made = OLD[old]
    kept = [table for table, row in _ROWS.items() if any(f"TABLE {table} " in each for each in made)]
    await run(unopened, _META, "INSERT INTO meta VALUES (1, 1)", *made, *(_ROWS[table] for table in kept))

    await unopened.open()

    assert await difference(unopened) == []
    assert await tables(unopened) == {*metadata.tables, VERSION_TABLE}
    assert await unopened.transact(reached) == HEAD
    held = await SqlLedger(unopened).registered(["s-0"])
    assert [(each.registration.seed, each.state, each.attempts) for each in held.values()] == (
        [(7, State.IN_FLIGHT, 2)] if "sample" in kept else []
    )
    entries = await unopened.transact(lambda connection: connection.execute(text("SELECT note FROM consent")).all())
    assert entries == [("form 1",)] * ("consent" in kept)


async def test_what_was_agreed_before_the_terms_keeps_its_meaning(unopened: Database):
    """The tables of the step before, as it makes them, with a line in them."""
    made = OLD["everything"]
    version = "CREATE TABLE likeness_version (version_num VARCHAR(32) NOT NULL)"
    await run(unopened, *made, _ROWS["consent"], version, "INSERT INTO likeness_version VALUES ('0001')")

    await unopened.open()

    assert await unopened.transact(reached) == HEAD
    assert await difference(unopened) == []
    [entry] = (await consent.SqlConsentRegister(unopened).entries(["anna"]))["anna"]
    assert (entry.kind, entry.purpose, entry.terms, entry.note) == ("granted", None, Terms(), "form 1")


async def test_a_database_that_is_opened_again_stays_as_it_is(database: Database, database_url: str):
    await run(database, _ROWS["sample"])

    again = Database(database_url)
    await again.open()

    assert list(await SqlLedger(again).registered(["s-0"])) == ["s-0"]
    await again.close()


async def test_a_database_of_a_later_version_is_refused_and_left_as_it_is(database: Database):
    await run(database, "UPDATE likeness_version SET version_num = '4242'", "DROP TABLE consent")

    with pytest.raises(Unready, match=r"got version 4242, which is later: set LIKENESS_LEDGER to another .* or run"):
        await database.open()

    assert await database.transact(reached) == "4242"
    assert "consent" not in await tables(database)


async def test_a_table_of_somebody_else_is_not_taken_for_a_version(unopened: Database):
    await run(unopened, _META, "INSERT INTO meta VALUES (1, 42)", *OLD["consent alone"])

    with pytest.raises(Unready, match="got version 42"):
        await unopened.open()

    assert await tables(unopened) == {"meta", "consent"}


async def test_a_step_that_fails_leaves_everything_as_it_was(unopened: Database):
    await run(unopened, _META, "INSERT INTO meta VALUES (1, 1)", "CREATE TABLE consent (entry INTEGER PRIMARY KEY)")

    with pytest.raises(Unready, match="identity"):
        await unopened.open()

    assert await tables(unopened) == {"meta", "consent"}


async def opened_once(url: str) -> set[str]:
    database = Database(url)
    try:
        await database.open()
        return await tables(database)
    finally:
        await database.close()


def in_this_process(url: str) -> set[str]:
    return asyncio.run(opened_once(url))


@pytest.mark.parametrize("old", ["nothing", "everything"])
async def test_of_many_that_open_a_database_at_once_all_find_it_whole(unopened: Database, database_url: str, old: str):
    if old == "everything":
        await run(unopened, _META, "INSERT INTO meta VALUES (1, 1)", *OLD["everything"], _ROWS["consent"])

    found = await asyncio.gather(*(opened_once(database_url) for _ in range(8)))

    assert all(each == {*metadata.tables, VERSION_TABLE} for each in found)
    assert await unopened.transact(reached) == HEAD


async def test_many_databases_that_one_process_opens_at_once_are_each_whole(tmp_path: Path):
    found = await asyncio.gather(*(opened_once(f"sqlite:///{tmp_path / str(number)}.db") for number in range(16)))

    assert all(each == {*metadata.tables, VERSION_TABLE} for each in found)


def test_of_many_processes_that_open_a_new_database_at_once_all_find_it_whole(database_url: str):
    with multiprocessing.get_context("spawn").Pool(4) as pool:
        found = pool.map(in_this_process, [database_url] * 8, chunksize=1)

    assert all(each == {*metadata.tables, VERSION_TABLE} for each in found)


def test_alembic_is_imported_only_where_there_is_a_step_to_take(sqlite_url: str):
    program = (
        "import asyncio, sys; from streams.adapters.ledger.database import Database\n"
        "async def run():\n    database = Database(sys.argv[1]); await database.open(); await database.close()\n"
        "asyncio.run(run()); print('alembic' in sys.modules)"
    )

    def imported() -> str:
        command = [sys.executable, "-c", program, sqlite_url]
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout.strip()

    assert [imported(), imported()] == ["True", "False"]
