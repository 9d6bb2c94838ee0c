"""What ``ports.Ledger`` promises, on the SQL ledger and on every database."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from streams.adapters.ledger.database import Database, from_micros, to_micros
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Outcome, Registration, State
from streams.core.measurement import Measurement, NearOther
from streams.core.records import Record
from streams.events import ImageRef
from tests.delivered import delivered

AT = datetime(2030, 1, 1, 12, 0, 0, 123_456, tzinfo=UTC)
IMAGE = ImageRef(sha256="a" * 64, size=5)
OTHER_IMAGE = ImageRef(sha256="b" * 64, size=6)


def row(sample_id: str = "s-0", payload: bytes = b"asked", **fields: object) -> Registration:
    return Registration(**{"sample_id": sample_id, "kind": "generation", "payload": payload, "at": AT} | fields)


def outcome(sample_id: str = "s-0", state: State = State.ACCEPTED, measurement: str | None = None, **fields: object):
    record = {"topic": "samples.accepted", "key": b"k", "value": b"v", "headers": (("h", b"1"),), "time": AT}
    return Outcome(sample_id, state, Record(**record | fields), measurement)


async def test_a_registered_row_is_returned_as_it_was_asked_for(ledger: SqlLedger):
    full = row(identity="anna", model="gan", model_version="3", seed=2**63 - 1, image=IMAGE)

    held = (await ledger.register([[full]]))["s-0"]

    assert (held.registration, held.state, held.attempts) == (full, State.IN_FLIGHT, 0)


async def test_the_first_registration_stays(ledger: SqlLedger):
    first = row(seed=1, model_version="1")
    await ledger.register([[first]])

    again = await ledger.register([[row(seed=2, model_version="2", at=AT + timedelta(hours=1))]])

    assert again["s-0"].registration == first


async def test_a_group_is_registered_whole(ledger: SqlLedger):
    held = await ledger.register([[row(f"s-{index}") for index in range(64)]])

    assert sorted(held) == sorted(f"s-{index}" for index in range(64))


async def test_of_a_group_whose_first_row_is_held_with_another_payload_nothing_is_registered(ledger: SqlLedger):
    await ledger.register([[row("s-0", b"for one")]])

    held = await ledger.register([[row("s-0", b"for three"), row("s-1", b"for three"), row("s-2", b"for three")]])

    assert sorted(held) == ["s-0"]
    assert held["s-0"].registration.payload == b"for one"


async def test_of_two_conflicting_groups_in_one_call_the_first_wins_and_others_are_not_touched(ledger: SqlLedger):
    held = await ledger.register(
        [
            [row("s-0", b"for one")],
            [row("s-0", b"for two"), row("s-1", b"for two")],
            [row("t-0", b"t"), row("t-1", b"t")],
        ]
    )

    assert sorted(held) == ["s-0", "t-0", "t-1"]
    assert held["s-0"].registration.payload == b"for one"


async def test_a_group_that_is_held_in_part_is_completed(ledger: SqlLedger):
    await ledger.register([[row("s-0")]])

    assert sorted(await ledger.register([[row("s-0"), row("s-1")]])) == ["s-0", "s-1"]


async def test_nothing_is_registered_for_no_groups(ledger: SqlLedger):
    assert await ledger.register([]) == {}


async def test_an_outcome_is_decided_once_and_comes_back_byte_for_byte(ledger: SqlLedger):
    await ledger.register([[row()]])
    first = outcome(value=b"\x00\xff first", measurement="{}")
    await ledger.decide([first])
    second = outcome(state=State.FLAGGED, topic="samples.flagged", value=b"second", time=AT + timedelta(days=1))

    assert await ledger.decide([second]) == [first]
    assert await ledger.outcomes(["s-0"]) == {"s-0": first}


@pytest.mark.parametrize("state", [State.ACCEPTED, State.FLAGGED, State.DEAD])
async def test_every_end_is_final(ledger: SqlLedger, state: State):
    await ledger.register([[row()]])
    [first] = await ledger.decide([outcome(state=state)])

    for other in (State.ACCEPTED, State.FLAGGED, State.DEAD):
        assert await ledger.decide([outcome(state=other, value=b"other")]) == [first]
    assert (await ledger.register([[row()]]))["s-0"].state is state


async def test_of_two_outcomes_in_one_call_the_first_is_stored(ledger: SqlLedger):
    await ledger.register([[row()]])

    assert await ledger.decide([outcome(value=b"1"), outcome(value=b"2")]) == [outcome(value=b"1")] * 2


async def test_outcomes_come_back_in_the_order_in_which_they_were_given(ledger: SqlLedger):
    names = [f"s-{index}" for index in (3, 0, 2, 1)]
    await ledger.register([[row(name)] for name in names])

    assert [each.sample_id for each in await ledger.decide([outcome(name) for name in names])] == names


async def test_a_sample_in_flight_has_no_outcome(ledger: SqlLedger):
    await ledger.register([[row()]])

    assert await ledger.outcomes(["s-0", "nobody"]) == {}


@pytest.mark.parametrize(
    "headers",
    [
        (),
        (("same", b"1"), ("same", b"2")),
        (("bytes", bytes(range(256))),),
        (("", b""),),
        (("no value", None),),
        (("umlaut ä, nul \x00, \U0001f600", b"x"),),
    ],
)
async def test_headers_come_back_whatever_they_are_and_in_order(ledger: SqlLedger, headers):
    await ledger.register([[row()]])

    [held] = await ledger.decide([outcome(headers=headers)])

    assert held.record.headers == headers


@pytest.mark.parametrize(("key", "value"), [(None, None), (b"", b""), (bytes(range(256)), bytes(range(256)) * 1000)])
async def test_key_and_value_come_back_whatever_they_are(ledger: SqlLedger, key, value):
    await ledger.register([[row()]])

    [held] = await ledger.decide([outcome(key=key, value=value)])

    assert (held.record.key, held.record.value) == (key, value)


async def test_a_measurement_comes_back_equal(ledger: SqlLedger):
    measured = Measurement(
        sample_id="s-0",
        identity="anna",
        embedding_space="space",
        gallery_version="v",
        references=2,
        faces=1,
        face_box=(0.1, 0.2, 30.3, 40.4),
        similarity=0.1234,
        others=(NearOther(identity="bert", similarity=0.5, resembles_target=None, protected=True),),
    )
    unmeasured = Measurement(
        sample_id="s-1", identity="x", embedding_space="space", gallery_version="", references=0, faces=None
    )
    await ledger.register([[row("s-0")], [row("s-1")]])

    for name, each in (("s-0", measured), ("s-1", unmeasured)):
        [held] = await ledger.decide([outcome(name, measurement=each.model_dump_json(exclude_none=True))])
        assert Measurement.model_validate_json(held.measurement) == each


async def test_attempts_are_counted_for_each_row(ledger: SqlLedger):
    await ledger.register([[row("s-0")], [row("s-1")]])

    assert await ledger.attempt(["s-0", "s-1"]) == {"s-0": 1, "s-1": 1}
    assert await ledger.attempt(["s-1"]) == {"s-1": 2}
    assert await ledger.attempt([]) == {}
    assert (await ledger.register([[row("s-1")]]))["s-1"].attempts == 2


async def test_an_attempt_that_ended_in_order_is_taken_back(ledger: SqlLedger):
    await ledger.register([[row("s-0")], [row("s-1")]])
    await ledger.attempt(["s-0", "s-1"])

    await ledger.take_back_attempt(["s-0"])
    await ledger.take_back_attempt(["s-0"])

    assert await ledger.attempt(["s-0", "s-1"]) == {"s-0": 1, "s-1": 2}


async def test_deaths_of_children_are_counted_apart_from_attempts(ledger: SqlLedger):
    await ledger.register([[row("s-0")], [row("s-1")]])

    assert [await ledger.child_death("s-0") for _ in range(3)] == [1, 2, 3]
    assert await ledger.child_death("s-1") == 1
    assert await ledger.attempt(["s-0"]) == {"s-0": 1}


async def test_the_first_image_of_a_sample_stays(ledger: SqlLedger):
    await ledger.register([[row("s-0")], [row("s-1")], [row("s-2", image=IMAGE)]])

    assert await ledger.pin_images({"s-0": IMAGE}) == {"s-0": IMAGE}
    pinned = await ledger.pin_images({"s-0": OTHER_IMAGE, "s-1": OTHER_IMAGE, "s-2": OTHER_IMAGE})

    assert pinned == {"s-0": IMAGE, "s-1": OTHER_IMAGE, "s-2": IMAGE}
    assert (await ledger.register([[row("s-1")]]))["s-1"].registration.image == OTHER_IMAGE
    assert await ledger.pin_images({}) == {}


async def test_what_was_never_noted_as_delivered_is_found_again_oldest_first(ledger: SqlLedger):
    times = {"s-0": AT + timedelta(seconds=2), "s-1": AT, "s-2": AT + timedelta(seconds=1), "s-3": AT}
    await ledger.register([[row(name)] for name in [*times, "in flight"]])
    await ledger.decide([outcome(name, time=time) for name, time in times.items()])
    await delivered(ledger, ["s-3"])

    later = AT + timedelta(seconds=5)
    assert [each.sample_id for each in await ledger.unpublished(later, 9)] == ["s-1", "s-2", "s-0"]
    assert [each.sample_id for each in await ledger.unpublished(later, 2)] == ["s-1", "s-2"]
    assert [each.sample_id for each in await ledger.unpublished(AT + timedelta(seconds=1), 9)] == ["s-1"]


async def test_what_was_delivered_is_noted_for_good(ledger: SqlLedger):
    await ledger.register([[row("s-0")], [row("s-1")]])
    await ledger.decide([outcome("s-0"), outcome("s-1")])
    await delivered(ledger, ["s-0"])
    await delivered(ledger, [])

    held = await ledger.outcomes(["s-0", "s-1"])

    assert (held["s-0"].published, held["s-1"].published) == (True, False)
    assert await ledger.decide([outcome("s-0", value=b"other")]) == [replace(outcome("s-0"), published=True)]


async def test_everything_outlives_the_process(ledger: SqlLedger, database_url: str):
    await ledger.register([[row()]])
    await ledger.decide([outcome()])

    again = Database(database_url)
    await again.open()
    try:
        assert await SqlLedger(again).outcomes(["s-0"]) == {"s-0": outcome()}
    finally:
        await again.close()


@pytest.mark.parametrize("moment", [AT, datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)])
def test_moments_come_back_to_the_microsecond(moment: datetime):
    assert from_micros(to_micros(moment)) == moment
