"""Whoever takes several rows takes them in one order, so that no two transactions wait for each other."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime

import psycopg
import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record
from streams.events import ImageRef
from tests.delivered import delivered

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
IDS = [f"{index:032x}" for index in range(9)]
MIDDLE = IDS[4]
#: Makes a session find rows in the order of the index, and another one as they lie in the table.
BY_INDEX, AS_THEY_LIE = (f"-c enable_{off}scan=off -c enable_bitmapscan=off" for off in ("seq", "index"))
Take = Callable[[SqlLedger, list[str]], Awaitable[object]]


def rows(ids: list[str]) -> list[list[Registration]]:
    return [[Registration(each, "training", b"asked", AT)] for each in ids]


def outcomes(ids: list[str]) -> list[Outcome]:
    return [Outcome(each, State.ACCEPTED, Record("samples.accepted", b"k", b"v", (), AT)) for each in ids]


TAKES: dict[str, Take] = {
    "attempt": lambda ledger, ids: ledger.attempt(ids),
    "take back": lambda ledger, ids: ledger.take_back_attempt(ids),
    "pin versions": lambda ledger, ids: ledger.pin_versions(dict.fromkeys(ids, "1")),
    "repin versions": lambda ledger, ids: ledger.repin_versions(ids, retired="", served="2"),
    "pin images": lambda ledger, ids: ledger.pin_images(dict.fromkeys(ids, ImageRef(sha256="a" * 64, size=1))),
    "decide": lambda ledger, ids: ledger.decide(outcomes(ids)),
    "published": lambda ledger, ids: delivered(ledger, ids),
    "register": lambda ledger, ids: ledger.register(rows(ids)),
}


@pytest.mark.parametrize("name", TAKES)
async def test_two_that_take_the_same_rows_the_other_way_round_do_not_wait_for_each_other(postgres_url: str, name: str):
    first, second = (Database(f"{postgres_url}&options={options}") for options in (BY_INDEX, AS_THEY_LIE))
    await first.open()
    for each in reversed(IDS if name != "register" else []):  # so they lie the other way round than in the index
        await SqlLedger(first).register(rows([each]))
        await SqlLedger(first).attempt([each])
        if name == "published":
            await SqlLedger(first).decide(outcomes([each]))

    async with await psycopg.AsyncConnection.connect(postgres_url) as between:
        # Whoever comes from either end stops in the middle; if both do, they will wait for each other from then on.
        if name == "register":
            await between.execute(
                "INSERT INTO sample VALUES (%s, 'x', '', '', '', '', 0, '', 0, 0, '', 0, 0)", [MIDDLE]
            )
        else:
            await between.execute("SELECT * FROM sample WHERE sample_id = %s FOR UPDATE", [MIDDLE])
        both = [
            asyncio.create_task(TAKES[name](SqlLedger(first), IDS)),
            asyncio.create_task(TAKES[name](SqlLedger(second), IDS[::-1])),
        ]
        async with asyncio.timeout(30):
            while await waiting(postgres_url) < len(both):  # noqa: ASYNC110 - the server tells nobody
                await asyncio.sleep(0.01)
        await between.rollback()
    await asyncio.gather(*both)
    await asyncio.gather(first.close(), second.close())

    assert await number(postgres_url, "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()") == 0


async def waiting(url: str) -> int:
    """Return how many transactions wait for another one in this database."""
    asked = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    return await number(url, asked)


async def number(url: str, query: str) -> int:
    async with await psycopg.AsyncConnection.connect(url) as operator:
        [found] = await (await operator.execute(query)).fetchone()
        return found
