"""What PostgreSQL does to a ledger, and what becomes of it: no call hangs, nothing that was confirmed is lost."""

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record
from streams.errors import DependencyUnavailable
from tests.postgres import Native, native

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def killable() -> Iterator[Native]:
    """A server of one test alone."""
    with native() as running:
        yield running


@asynccontextmanager
async def opened(url: str, **arguments: float) -> AsyncIterator[Database]:
    database = Database(url, **arguments)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


async def asked(database: Database, statement: str) -> object:
    return await database.transact(lambda connection: connection.execute(text(statement)).scalar())


async def write(ledger: SqlLedger, name: str) -> None:
    await ledger.register([[Registration(name, "training", b"asked", AT)]])
    await ledger.decide([Outcome(name, State.ACCEPTED, Record("samples.accepted", b"k", b"v", (), AT))])


async def write_on(ledger: SqlLedger, confirmed: list[str]) -> None:
    """Write until it fails, and note what the ledger said is done."""
    while True:
        await write(ledger, f"{len(confirmed):032x}")
        confirmed.append(f"{len(confirmed):032x}")


async def test_a_server_that_is_killed_is_waited_for_and_has_everything_that_it_confirmed(killable: Native):
    async with opened(killable.server.address()) as database:
        ledger, confirmed = SqlLedger(database), []
        killed = asyncio.create_task(asyncio.to_thread(killable.kill))
        with pytest.raises(DependencyUnavailable):
            await write_on(ledger, confirmed)
        await killed
        with pytest.raises(DependencyUnavailable):
            await ledger.outcomes(["x"])

        await asyncio.to_thread(killable.start)

        held = await ledger.outcomes(confirmed)
        assert sorted(held) == confirmed
        await write(ledger, "after")
        assert sorted(await ledger.outcomes(["after"])) == ["after"]


async def test_a_connection_that_broke_while_nobody_used_it_is_not_noticed(postgres_url: str):
    async with opened(postgres_url) as database:
        mine = await asked(database, "SELECT pg_backend_pid()")
        with psycopg.connect(postgres_url, autocommit=True) as operator:
            operator.execute("SELECT pg_terminate_backend(%s, 5000)", [mine])

        assert await asked(database, "SELECT 1") == 1


@pytest.mark.parametrize("stopped", ["backend", "server"])
async def test_a_server_that_hangs_hangs_nobody(killable: Native, stopped: str):
    async with opened(killable.server.address(), call_seconds=0.5) as database:
        backend = await asked(database, "SELECT pg_backend_pid()")
        assert isinstance(backend, int)
        pids = [backend] if stopped == "backend" else [backend, killable.pid]
        for pid in pids:
            os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(DependencyUnavailable, match=r"said nothing for 0\.5 s"):
                await asked(database, "SELECT 1")
            if stopped == "server":
                # The kernel still takes the call, and nobody comes to the line.
                with pytest.raises(DependencyUnavailable):
                    await asked(database, "SELECT 1")
        finally:
            for pid in pids:
                os.kill(pid, signal.SIGCONT)

        assert await asked(database, "SELECT 1") == 1


async def test_whoever_is_cancelled_while_the_server_hangs_leaves_no_thread_behind(killable: Native):
    async with opened(killable.server.address(), call_seconds=0.5) as database:
        started, ended = asyncio.Event(), threading.Event()
        loop = asyncio.get_running_loop()
        stopped: list[int] = []

        def hang(connection: Connection) -> None:
            stopped.append(connection.exec_driver_sql("SELECT pg_backend_pid()").scalar_one())
            os.kill(stopped[0], signal.SIGSTOP)
            loop.call_soon_threadsafe(started.set)
            try:
                connection.exec_driver_sql("SELECT 1")
            finally:
                ended.set()

        call = asyncio.create_task(database.transact(hang))
        await started.wait()
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert await asyncio.to_thread(ended.wait, 30)
        os.kill(stopped[0], signal.SIGCONT)


async def test_the_server_itself_ends_what_takes_long_or_stands_still(postgres_url: str):
    async with opened(postgres_url) as database:
        assert await asked(database, "SHOW statement_timeout") == "15s"
        assert await asked(database, "SHOW idle_in_transaction_session_timeout") == "10s"
        assert await asked(database, "SHOW transaction_isolation") == "read committed"
        with pytest.raises(DependencyUnavailable, match="statement timeout"):
            await database.transact(
                lambda connection: [
                    connection.exec_driver_sql(each)
                    for each in ("SET LOCAL statement_timeout = 20", "SELECT pg_sleep(60)")
                ]
            )


async def test_what_the_url_says_goes_first(postgres_url: str):
    url = f"{postgres_url}&application_name=mine&options=-c%20statement_timeout%3D7s"
    async with opened(url) as database:
        assert await asked(database, "SHOW statement_timeout") == "7s"
        assert await asked(database, "SHOW application_name") == "mine"
        assert await asked(database, "SHOW idle_in_transaction_session_timeout") == "10s"


async def test_of_two_that_wait_for_each_other_both_succeed(postgres_url: str):
    both_hold = threading.Barrier(2)
    turns: list[str] = []

    async def cross(database: Database, first: str, second: str) -> None:
        taking = text("UPDATE sample SET attempts = attempts + 1 WHERE sample_id = :wanted")

        def work(connection: Connection) -> None:
            turns.append(first)
            connection.execute(taking, {"wanted": first})
            if turns.count(first) == 1:
                both_hold.wait(30)
            connection.execute(taking, {"wanted": second})

        await database.transact(work)

    async with opened(postgres_url) as one, opened(postgres_url) as other:
        ledger = SqlLedger(one)
        await ledger.register([[Registration(name, "training", b"asked", AT)] for name in ("a", "b")])

        await asyncio.gather(cross(one, "a", "b"), cross(other, "b", "a"))

        assert await ledger.attempt(["a", "b"]) == {"a": 3, "b": 3}
        assert len(turns) == 3


async def says(connection: psycopg.AsyncConnection, state: str, times: int) -> None:
    """Let every call of ``refuse()`` but those after so many fail with this state; a sequence survives a rollback."""
    await connection.execute("CREATE SEQUENCE IF NOT EXISTS calls")
    await connection.execute(
        "CREATE OR REPLACE FUNCTION refuse() RETURNS bigint LANGUAGE plpgsql AS $$"
        f" DECLARE call bigint := nextval('calls'); BEGIN IF call <= {times} THEN"
        f" RAISE EXCEPTION 'refused' USING ERRCODE = '{state}'; END IF; RETURN call; END $$"
    )


@pytest.mark.parametrize("state", ["40001", "40P01"])
async def test_what_was_rolled_back_for_anothers_sake_is_run_again(postgres_url: str, state: str):
    async with (
        opened(postgres_url) as database,
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as operator,
    ):
        await says(operator, state, times=3)

        assert await asked(database, "SELECT refuse()") == 4


@pytest.mark.parametrize(
    ("state", "calls"),
    [
        ("40001", 5),
        ("53100", 1),  # disk full
        ("53200", 1),  # out of memory
        ("53300", 1),  # too many connections
        ("57P03", 1),  # the server is starting up
        ("25006", 1),  # a standby
        ("55P03", 1),  # a lock is not to be had
    ],
)
async def test_what_the_server_cannot_do_now_is_waited_for(postgres_url: str, state: str, calls: int):
    async with (
        opened(postgres_url) as database,
        await psycopg.AsyncConnection.connect(postgres_url, autocommit=True) as operator,
    ):
        await says(operator, state, times=99)

        with pytest.raises(DependencyUnavailable, match="refused"):
            await asked(database, "SELECT refuse()")

        assert await asked(database, "SELECT last_value FROM calls") == calls


async def test_a_server_that_lets_nobody_in_is_waited_for(postgres_url: str):
    with psycopg.connect(postgres_url, autocommit=True) as operator:
        operator.execute("CREATE ROLE guest LOGIN CONNECTION LIMIT 0")
        try:
            database = Database(postgres_url.replace("likeness@", "guest@", 1))
            with pytest.raises(DependencyUnavailable, match="too many connections"):
                await database.open()
            await database.close()
        finally:
            operator.execute("DROP ROLE guest")


async def test_nobody_waits_for_ever_for_a_free_connection(postgres_url: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("streams.adapters.ledger.postgresql.CONNECT_SECONDS", 2)
    go_on, all_hold = threading.Event(), threading.Barrier(16)

    def hold(_connection: Connection) -> None:
        all_hold.wait(30)
        go_on.wait(30)

    async with opened(postgres_url) as database:
        asyncio.get_running_loop().set_default_executor(ThreadPoolExecutor(20))
        holders = [asyncio.create_task(database.transact(hold)) for _ in range(15)]
        await asyncio.to_thread(all_hold.wait, 30)
        with pytest.raises(DependencyUnavailable, match="every connection is in use"):
            await asked(database, "SELECT 1")
        go_on.set()
        await asyncio.gather(*holders)


async def test_a_mistake_of_ours_is_raised_as_it_is(postgres_url: str):
    async with opened(postgres_url) as database:
        with pytest.raises(DBAPIError, match="value too long"):
            await SqlLedger(database).register([[Registration("x" * 33, "training", b"asked", AT)]])
