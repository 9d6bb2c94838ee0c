"""What ``ports.Ledger`` promises the reconciler, on the SQL ledger and on every database."""

from datetime import UTC, datetime, timedelta

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record
from tests.delivered import delivered

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
LATER = AT + 60 * SECOND


def row(sample_id: str, at: datetime = AT) -> Registration:
    return Registration(sample_id, "generation", b"asked", at)


async def decided(ledger: SqlLedger, sample_id: str, at: datetime = AT) -> None:
    await ledger.decide([Outcome(sample_id, State.ACCEPTED, Record("samples.accepted", b"k", b"v", (), at))])


async def test_rows_in_flight_come_oldest_first_and_only_old_ones(ledger: SqlLedger):
    rows = [row("s-2", AT), row("s-1", AT), row("s-0", AT + SECOND), row("new", AT + 2 * SECOND), row("ended", AT)]
    await ledger.register([[each] for each in rows])
    await decided(ledger, "ended")

    found = await ledger.in_flight(AT + 2 * SECOND, 9)

    assert found == [rows[1], rows[0], rows[2]]


async def test_rows_in_flight_come_page_by_page_each_once(ledger: SqlLedger):
    rows = [row(f"s-{index}", AT + index // 3 * SECOND) for index in range(10)]
    await ledger.register([[each] for each in rows])

    pages = [await ledger.in_flight(LATER, 4)]
    while pages[-1]:
        pages.append(await ledger.in_flight(LATER, 4, after=pages[-1][-1]))

    assert [len(page) for page in pages] == [4, 4, 2, 0]
    assert [each for page in pages for each in page] == rows


async def test_another_cluster_has_none_of_the_records_that_were_delivered_before(ledger: SqlLedger):
    await ledger.register([[row(name)] for name in ("old", "young", "unsent", "in flight")])
    for name, at in {"old": AT, "young": AT + SECOND, "unsent": AT + SECOND}.items():
        await decided(ledger, name, at)
    await delivered(ledger, ["old", "young"])

    assert await ledger.delivers_to("first", newer_than=AT + SECOND) == 0
    assert await ledger.delivers_to("first", newer_than=AT + SECOND) == 0
    assert [each.sample_id for each in await ledger.unpublished(LATER, 9)] == ["unsent"]

    assert await ledger.delivers_to("second", newer_than=AT + SECOND) == 1
    assert await ledger.delivers_to("second", newer_than=AT + SECOND) == 0
    assert [each.sample_id for each in await ledger.unpublished(LATER, 9)] == ["unsent", "young"]


async def test_what_another_cluster_lacks_is_found_however_many_rows_there_are(database: Database):
    ledger = SqlLedger(database, rows_at_a_time=3)
    names = [f"s-{index}" for index in range(10)]
    await ledger.register([[row(name)] for name in names])
    for name in names[::2]:
        await decided(ledger, name)
    await delivered(ledger, names[::2])
    await ledger.delivers_to("first", newer_than=AT)

    assert await ledger.delivers_to("second", newer_than=AT) == 5
    assert [each.sample_id for each in await ledger.unpublished(LATER, 99)] == names[::2]
    assert await ledger.delivers_to("second", newer_than=AT) == 0
