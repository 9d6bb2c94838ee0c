"""What ``ports.Ledger`` promises to several that work on the same rows at once, on every database."""

import asyncio
import multiprocessing
import random
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record
from streams.events import ImageRef
from tests.delivered import delivered

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
WRITERS = 4
SAMPLES = [f"{index:032x}" for index in range(20)]
Work = Callable[[SqlLedger, int], Awaitable[object]]


def row(sample_id: str, payload: bytes) -> Registration:
    return Registration(sample_id, "generation", payload, AT)


def outcome(sample_id: str, value: bytes) -> Outcome:
    return Outcome(sample_id, State.ACCEPTED, Record("samples.accepted", b"k", value, (), AT))


@asynccontextmanager
async def opened(url: str) -> AsyncIterator[Database]:
    database = Database(url)
    try:
        await database.open()
        yield database
    finally:
        await database.close()


async def each_alone(url: str, work: Work) -> list[object]:
    """Let every writer do the work at once, each with connections of its own."""

    async def one(writer: int) -> object:
        async with opened(url) as database:
            return await work(SqlLedger(database), writer)

    return await asyncio.gather(*(one(writer) for writer in range(WRITERS)))


async def one_by_one(ledger: SqlLedger, writer: int) -> list[bytes | None]:
    """Register and decide every sample, each writer otherwise; return what the ledger says of them."""
    said: list[bytes | None] = []
    mine = f"writer {writer}".encode()
    for name in SAMPLES:
        held = await ledger.register([[row(name, mine)]])
        [decided] = await ledger.decide([outcome(name, mine)])
        said += [held[name].registration.payload, decided.record.value]
    return said


async def test_of_many_writers_at_once_one_wins_and_all_see_the_same(database_url: str):
    results = await each_alone(database_url, one_by_one)

    assert all(result == results[0] for result in results)


def test_of_many_processes_at_once_one_wins_and_all_see_the_same(database_url: str):
    with multiprocessing.get_context("spawn").Pool(3) as pool:
        results = pool.starmap(in_this_process, [(database_url, writer) for writer in range(3)])

    assert results[0] == results[1] == results[2]
    assert len(results[0]) == 2 * len(SAMPLES)


def in_this_process(url: str, writer: int) -> list[bytes | None]:
    async def run() -> list[bytes | None]:
        async with opened(url) as database:
            return await one_by_one(SqlLedger(database), writer)

    return asyncio.run(run())


async def deadlocks(database: Database) -> int:
    """Return how many the server has broken in this database; SQLite's writers queue and cannot have any."""
    if not database.is_server:
        return 0
    asked = text("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
    return await database.transact(lambda connection: int(connection.execute(asked).scalar_one()))


async def test_whole_batches_in_any_order_are_decided_once_without_a_deadlock(database: Database, database_url: str):
    async def whole_batches(ledger: SqlLedger, writer: int) -> list[tuple[str, bytes | None]]:
        order, mine = random.Random(writer), f"writer {writer}".encode()
        names = list(SAMPLES)
        for _ in range(5):
            order.shuffle(names)
            await ledger.register([[row(name, b"asked")] for name in names])
            await ledger.attempt(names)
            await ledger.take_back_attempt(names)
            await ledger.pin_versions(dict.fromkeys(names, "1"))
            await ledger.repin_versions(names, retired="1", served="2")
            await ledger.pin_images({name: ImageRef(sha256="a" * 64, size=writer + 1) for name in names})
            await ledger.decide([outcome(name, mine) for name in names])
            await delivered(ledger, names)
        held = await ledger.outcomes(names)
        return [(name, held[name].record.value) for name in SAMPLES]

    results = await each_alone(database_url, whole_batches)

    assert all(result == results[0] for result in results)
    assert set((await SqlLedger(database).attempt(SAMPLES)).values()) == {1}
    assert await deadlocks(database) == 0


async def test_overlapping_groups_in_any_order_are_registered_whole_without_a_deadlock(
    database: Database, database_url: str
):
    groups = [SAMPLES[start : start + 5] for start in range(0, len(SAMPLES), 5)]

    async def register(ledger: SqlLedger, writer: int) -> None:
        order, mine = random.Random(writer), f"writer {writer}".encode()
        for turn in range(5):
            asked = [[row(f"{turn}{name[1:]}", mine) for name in group] for group in groups]
            order.shuffle(asked)
            await ledger.register(asked)

    await each_alone(database_url, register)

    for group in groups:
        for turn in range(5):
            ids = [f"{turn}{name[1:]}" for name in group]
            held = await SqlLedger(database).registered(ids)
            assert sorted(held) == ids
            assert len({each.registration.payload for each in held.values()}) == 1
    assert await deadlocks(database) == 0


@pytest.mark.parametrize("clusters", [("second", "second"), ("second", "third")])
async def test_of_several_that_meet_another_cluster_at_once_none_forgets_a_row(
    database: Database, database_url: str, clusters: tuple[str, str]
):
    ledger = SqlLedger(database)
    await ledger.register([[row(name, b"asked")] for name in SAMPLES])
    await ledger.decide([outcome(name, b"v") for name in SAMPLES])
    await delivered(ledger, SAMPLES)
    await ledger.delivers_to("first", newer_than=AT)

    async with opened(database_url) as other:
        await asyncio.gather(
            ledger.delivers_to(clusters[0], newer_than=AT), SqlLedger(other).delivers_to(clusters[1], newer_than=AT)
        )

    missing = await ledger.unpublished(AT + timedelta(seconds=1), 99)
    assert [each.sample_id for each in missing] == SAMPLES
