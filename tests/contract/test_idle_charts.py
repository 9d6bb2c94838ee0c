"""Charts to which nothing comes any more are taken out whole, and no others."""

from datetime import timedelta

import pytest

from streams.adapters.ledger.charts.idle import prune
from streams.adapters.ledger.charts.rows import charts, notices, outbox, points, samples, scopes, steps
from streams.adapters.ledger.database import Database
from tests.charted import BEGIN, Bench, gallery_of, generated, trained

#: The run has its last sample after 95 seconds, the served model after 4190.
BETWEEN = BEGIN + timedelta(minutes=30)
LATER = BEGIN + timedelta(days=1)


@pytest.fixture
async def bench(database: Database) -> Bench:
    return Bench(database, await gallery_of([*generated(), *trained()]))


async def rows(database: Database) -> dict[str, int]:
    tables = (charts, notices, outbox, points, samples, scopes, steps)
    return await database.transact(
        lambda connection: {table.name: len(connection.execute(table.select()).all()) for table in tables}
    )


async def test_a_run_that_is_over_goes_and_what_is_still_judged_stays_as_it_was(bench: Bench, database: Database):
    await bench.read([*trained(), *generated()])
    shown = await bench.charts()

    assert await prune(database, before=BETWEEN, dry_run=True) == ["run run-1"]
    assert await bench.charts() == shown
    assert await prune(database, before=BETWEEN) == ["run run-1"]

    assert await bench.charts() == [one for one in shown if one["kind"] != "run"]
    assert (await rows(database))["drift_step"] == 0
    assert await prune(database, before=BETWEEN) == []


async def test_nothing_is_left_of_what_goes_and_the_same_samples_make_the_same_charts_again(
    bench: Bench, database: Database
):
    await bench.read(trained())
    shown = await bench.shown()

    assert await prune(database, before=LATER) == ["run run-1"]
    assert set((await rows(database)).values()) == {0}

    await bench.read(trained())
    assert await bench.shown() == shown


async def test_what_was_not_told_yet_keeps_its_charts(bench: Bench, database: Database):
    await bench.read(trained(), note=False)
    assert await prune(database, before=LATER) == []
    await bench.book.told([name for name, _ in await bench.book.untold(1000)])
    assert await prune(database, before=LATER) == ["run run-1"]
