"""What ``ports.Ledger`` promises the intake and what follows from it: rows to look at, and versions pinned late."""

from datetime import UTC, datetime

from streams.adapters.ledger import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)


def row(sample_id: str, **fields: object) -> Registration:
    return Registration(**{"sample_id": sample_id, "kind": "generation", "payload": b"asked", "at": AT} | fields)


async def test_rows_are_looked_at_without_being_made(ledger: SqlLedger):
    await ledger.register([[row("s-0", seed=7)], [row("s-1")]])
    record = Record("samples.accepted", b"k", b"v", (), AT)
    await ledger.decide([Outcome("s-1", State.ACCEPTED, record)])

    found = await ledger.registered(["s-0", "s-1", "unheard-of"])

    assert {key: (held.registration.seed, held.state) for key, held in found.items()} == {
        "s-0": (7, State.IN_FLIGHT),
        "s-1": (None, State.ACCEPTED),
    }
    assert await ledger.registered([]) == {}
    assert await ledger.registered(["unheard-of"]) == {}


async def test_a_row_without_a_version_gets_one_and_keeps_it(ledger: SqlLedger):
    await ledger.register([[row("s-0")]])

    assert await ledger.pin_versions({"s-0": "1"}) == {"s-0": "1"}
    assert await ledger.pin_versions({"s-0": "2"}) == {"s-0": "1"}
    assert (await ledger.registered(["s-0"]))["s-0"].registration == row("s-0", model_version="1")


async def test_a_version_that_was_pinned_at_the_registration_stays(ledger: SqlLedger):
    await ledger.register([[row("s-0", model_version="1")], [row("s-1")]])

    assert await ledger.pin_versions({"s-1": "2", "s-0": "2"}) == {"s-0": "1", "s-1": "2"}


async def test_a_version_is_pinned_for_the_named_rows_alone(ledger: SqlLedger):
    await ledger.register([[row("s-0")], [row("s-1")]])

    assert await ledger.pin_versions({"s-0": "1", "unheard-of": "1"}) == {"s-0": "1"}
    assert await ledger.pin_versions({}) == {}
    assert (await ledger.registered(["s-1"]))["s-1"].registration.model_version is None
