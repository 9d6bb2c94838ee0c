"""The audit reads the ledger with its own SQL, from every database that a ledger may be in."""

from datetime import UTC, datetime, timedelta

import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.redrives import SqlRedrives
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record
from streams.errors import BadInput, DependencyUnavailable
from streams.tools.audit.records import digest
from streams.tools.audit.rows import Row, read_reopened, read_rows
from tests.delivered import delivered
from tests.postgres import Server

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
HEADERS = (("odd", None), ("likeness.dlq.reason", b"image-missing"))


async def ended(ledger: SqlLedger, sample_id: str, state: State, value: bytes) -> None:
    await ledger.register([[Registration(sample_id, "training", b"asked", AT, identity="anna")]])
    await ledger.decide([Outcome(sample_id, state, Record(f"to.{state}", b"k", value, HEADERS, AT), "{}")])


async def test_the_audit_reads_what_the_ledger_wrote(ledger: SqlLedger, database: Database, database_url: str):
    await ended(ledger, "accepted", State.ACCEPTED, b"\x00\xff")
    await ended(ledger, "flagged", State.FLAGGED, b"f")
    await ended(ledger, "dead", State.DEAD, b"d")
    await ledger.register([[Registration("waiting", "generation", b"asked", AT, model="gan")]])
    await delivered(ledger, ["accepted", "dead"])
    later = AT + timedelta(hours=1)
    assert await SqlRedrives(database).reopen("dead", at=later, note="on call", most=1) is not None

    rows = await read_rows(database_url, timeout_seconds=30)

    assert {name: row.state for name, row in rows.items()} == {
        "accepted": "accepted",
        "flagged": "flagged",
        "dead": "in_flight",
        "waiting": "in_flight",
    }
    accepted = rows["accepted"]
    assert (accepted.topic, accepted.value, accepted.identity) == ("to.accepted", digest(b"\x00\xff"), "anna")
    assert (accepted.time_ms, accepted.published) == (AT.timestamp() * 1000, True)
    assert not rows["flagged"].published
    assert rows["waiting"].model == "gan"
    [taken_back] = rows["dead"].superseded
    assert (taken_back.topic, taken_back.value) == ("to.dead", digest(b"d"))
    assert await read_reopened(database_url, timeout_seconds=30) == {"dead": (taken_back,)}


async def test_more_rows_than_are_held_at_a_time_are_all_read(ledger: SqlLedger, database_url: str):
    names = [f"{index:032x}" for index in range(2500)]
    await ledger.register([[Registration(name, "training", b"asked", AT)] for name in names])

    rows = await read_rows(database_url, timeout_seconds=60)

    assert sorted(rows) == names
    assert all(isinstance(row, Row) for row in rows.values())


async def test_a_server_that_is_not_there_is_an_outage_and_its_password_is_not_told(unused_tcp_port: int):
    url = f"postgresql://likeness:secret@127.0.0.1:{unused_tcp_port}/ledger"

    with pytest.raises(DependencyUnavailable) as refused:
        await read_rows(url, timeout_seconds=30)

    assert "secret" not in str(refused.value)


async def test_a_server_without_a_ledger_is_no_ledger(postgres: Server):
    with postgres.database() as url, pytest.raises(BadInput, match="no table 'sample'"):
        await read_rows(url, timeout_seconds=30)
