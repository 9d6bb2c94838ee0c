"""What ``ports.Ledger`` promises the intake and what follows from it: rows to look at, and versions pinned late."""

from datetime import UTC, datetime

from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Record
from streams.events import ImageRef

AT = datetime(2030, 1, 1, 12, tzinfo=UTC)
IMAGE, OTHER_IMAGE = (ImageRef(sha256=digit * 64, size=7) for digit in "ab")


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


async def test_a_retired_version_is_replaced_where_nothing_was_made_with_it(ledger: SqlLedger):
    await ledger.register([[row(f"s-{number}", model_version="1")] for number in range(3)])
    await ledger.register([[row("s-3", model_version="3")], [row("s-4")], [row("s-5", model_version="1")]])
    await ledger.pin_images({"s-1": IMAGE})
    await ledger.decide([Outcome("s-2", State.DEAD, Record("dead.letters", b"k", b"v", (), AT))])

    held = await ledger.repin_versions([f"s-{number}" for number in range(5)], retired="1", served="2")

    assert {key: (each.registration.model_version, each.registration.image) for key, each in held.items()} == {
        "s-0": ("2", None),
        "s-1": ("1", IMAGE),
        "s-2": ("1", None),
        "s-3": ("3", None),
        "s-4": (None, None),
    }
    assert (await ledger.registered(["s-5"]))["s-5"].registration.model_version == "1"
    assert await ledger.repin_versions([], retired="1", served="2") == {}


async def test_an_image_is_not_pinned_where_another_version_was_pinned_meanwhile(ledger: SqlLedger):
    await ledger.register([[row("s-0", model_version="2")], [row("s-1", model_version="1")]])

    assert await ledger.pin_images({"s-0": IMAGE, "s-1": IMAGE}, version="1") == {"s-1": IMAGE}
    assert (await ledger.registered(["s-0"]))["s-0"].registration.image is None
    assert await ledger.pin_images({"s-0": OTHER_IMAGE}, version="2") == {"s-0": OTHER_IMAGE}
    assert await ledger.pin_images({"s-0": IMAGE}, version="1") == {}
