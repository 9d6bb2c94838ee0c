"""What ``ports.Redrives`` promises, on the SQL ledger and on every database."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.redrives import SqlRedrives
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record
from streams.core.redrive import Redrive
from tests.delivered import delivered

AT = datetime(2030, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
LATER = AT + timedelta(hours=1)


@pytest.fixture
def redrives(database: Database) -> SqlRedrives:
    return SqlRedrives(database)


def outcome(sample_id: str = "s-0", state: State = State.DEAD, value: bytes = b"\x00v", time: datetime = AT) -> Outcome:
    headers = (("odd", None), ("likeness.dlq.reason", b"image-missing"))
    return Outcome(sample_id, state, Record("dead.letters", b"\xff", value, headers, time), "{}")


async def ended(ledger: SqlLedger, *outcomes: Outcome, kind: str = "training", noted: bool = True) -> None:
    await ledger.register([[Registration(each.sample_id, kind, b"asked", AT)] for each in outcomes])  # type: ignore[arg-type]
    await ledger.decide(outcomes)
    if noted:
        await delivered(ledger, [each.sample_id for each in outcomes])


async def reopen(redrives: SqlRedrives, sample_id: str = "s-0", most: int | None = 3) -> Redrive | None:
    return await redrives.reopen(sample_id, at=LATER, note="on call", most=most)


async def test_a_reopened_sample_is_in_flight_as_if_it_had_never_been_tried(ledger: SqlLedger, redrives: SqlRedrives):
    await ledger.register([[Registration("s-0", "training", b"asked", AT)]])
    await ledger.attempt(["s-0"])
    await ledger.child_death("s-0")
    await ended(ledger, outcome())

    assert await reopen(redrives) == Redrive("s-0", 1, outcome().record, sent=False)

    held = (await ledger.register([[Registration("s-0", "training", b"asked", AT)]]))["s-0"]
    assert (held.state, held.attempts) == (State.IN_FLIGHT, 0)
    assert await ledger.outcomes(["s-0"]) == {}
    assert await ledger.child_death("s-0") == 1


async def test_a_reopened_sample_is_decided_once_more_and_once(ledger: SqlLedger, redrives: SqlRedrives):
    await ended(ledger, outcome())
    await reopen(redrives)
    second = outcome(state=State.FLAGGED, value=b"second")

    assert await ledger.decide([second]) == [second]
    assert await ledger.decide([outcome(value=b"third")]) == [second]
    await delivered(ledger, ["s-0"])
    assert await ledger.decide([outcome(value=b"third")]) == [replace(second, published=True)]


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FLAGGED])
async def test_a_verdict_is_never_reopened(ledger: SqlLedger, redrives: SqlRedrives, state: State):
    await ended(ledger, outcome(state=state))

    assert await reopen(redrives, most=None) is None
    assert (await ledger.outcomes(["s-0"]))["s-0"].state is state
    assert await redrives.history(["s-0"]) == []


async def test_what_is_unknown_or_in_flight_is_not_reopened(ledger: SqlLedger, redrives: SqlRedrives):
    await ledger.register([[Registration("s-0", "training", b"asked", AT)]])

    assert await reopen(redrives) is None
    assert await reopen(redrives, "nobody") is None


async def test_a_dead_letter_that_its_worker_may_still_publish_is_not_reopened(
    ledger: SqlLedger, redrives: SqlRedrives
):
    await ended(ledger, outcome(), noted=False)
    assert await reopen(redrives) is None

    await delivered(ledger, ["s-0"])
    assert await reopen(redrives) is not None


async def test_a_late_note_of_the_old_delivery_does_not_hide_the_new_end(ledger: SqlLedger, redrives: SqlRedrives):
    await ended(ledger, outcome())
    await reopen(redrives)

    await ledger.published({"s-0": AT})
    [decided] = await ledger.decide([outcome(state=State.ACCEPTED, time=AT + timedelta(seconds=1))])
    await ledger.published({"s-0": AT})

    assert not decided.published
    assert not (await ledger.outcomes(["s-0"]))["s-0"].published
    await ledger.published({"s-0": AT + timedelta(seconds=1)})
    assert (await ledger.outcomes(["s-0"]))["s-0"].published


async def test_the_row_of_a_message_without_a_sample_stays_dead_and_is_sent_back_once(
    ledger: SqlLedger, redrives: SqlRedrives
):
    await ended(ledger, outcome(), kind="message")

    first, second = await reopen(redrives), await reopen(redrives, most=None)

    assert (first and first.n, second) == (1, None)
    assert (await ledger.outcomes(["s-0"]))["s-0"].state is State.DEAD


async def test_after_so_many_redrives_only_no_limit_reopens(ledger: SqlLedger, redrives: SqlRedrives):
    for n in (1, 2):
        await ended(ledger, outcome(value=b"%d" % n))
        reopened = await reopen(redrives, most=2)
        assert reopened is not None
        assert reopened.n == n
    await ended(ledger, outcome(value=b"3"))

    assert await reopen(redrives, most=2) is None
    assert (await reopen(redrives, most=None)) is not None
    assert [each.letter.value for each in await redrives.history(["s-0"])] == [b"1", b"2", b"3"]


async def test_what_was_sent_is_not_found_again(ledger: SqlLedger, redrives: SqlRedrives):
    await ended(ledger, outcome("s-0"), outcome("s-1"))
    first, second = await reopen(redrives, "s-0"), await reopen(redrives, "s-1")
    assert await redrives.unsent() == [first, second]

    assert first is not None
    await redrives.sent(first, at=LATER)

    assert await redrives.unsent() == [second]
    assert [each.sent for each in await redrives.history(["s-0", "s-1"])] == [True, False]


async def test_of_many_that_reopen_at_once_one_wins(ledger: SqlLedger, database_url: str):
    await ended(ledger, outcome())
    databases = [Database(database_url) for _ in range(4)]
    try:
        raced = await asyncio.gather(*(reopen(SqlRedrives(database)) for database in databases))
        assert len([each for each in raced if each is not None]) == 1
        assert len(await SqlRedrives(databases[0]).history(["s-0"])) == 1
    finally:
        await asyncio.gather(*(database.close() for database in databases))


_NEVER_IN_FLIGHT = {
    "sqlite": ["CREATE TRIGGER blocked BEFORE UPDATE ON sample BEGIN SELECT RAISE(ABORT, 'cut'); END"],
    "postgresql": [
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'cut'; END $$",
        "CREATE TRIGGER blocked BEFORE UPDATE ON sample FOR EACH ROW EXECUTE FUNCTION cut()",
    ],
}


async def test_the_audit_row_is_written_and_the_sample_reopened_both_or_neither(
    ledger: SqlLedger, redrives: SqlRedrives, database: Database
):
    await ended(ledger, outcome())
    # The audit row goes in first, and then the sample may not be in flight.
    for statement in _NEVER_IN_FLIGHT["postgresql" if database.is_server else "sqlite"]:
        await database.transact(lambda connection, statement=statement: connection.execute(text(statement)))

    with pytest.raises(DBAPIError, match="cut"):
        await reopen(redrives)

    assert await redrives.history(["s-0"]) == []
    assert (await ledger.outcomes(["s-0"]))["s-0"].state is State.DEAD
