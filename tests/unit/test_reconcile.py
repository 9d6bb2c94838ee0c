"""Driving again: a row without an end asks for itself, as it was asked for, once in a while and no more."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from streams import topics
from streams.core.ids import generated_sample_id, training_sample_id
from streams.core.ledger import Registration, asked_for
from streams.core.reconcile import asking, due
from streams.core.records import Record
from streams.errors import DependencyUnavailable
from streams.events import GenerationRequested, SampleGenerated
from streams.ports import Services
from streams.runtime.backlog import Backlog
from streams.steps import generate, judge
from streams.testing.examiner import StubExaminer
from streams.testing.images import picture, png
from streams.testing.interruption import Interrupted, Interruption
from streams.testing.messages import deliver, message, read_back, request, training_sample

AT = datetime(2030, 1, 1, tzinfo=UTC)
EVER = datetime.max.replace(tzinfo=UTC)
STEPS = {
    topics.GENERATION_REQUESTS.name: generate,
    topics.GENERATION_SAMPLES.name: judge,
    topics.TRAINING_SAMPLES.name: judge,
}
ANNA = png(picture(np.eye(8)[0]))


def row(sample_id: str = "s-0", payload: bytes | None = None, **fields: object) -> Registration:
    asked = asked_for(request()) if payload is None else payload
    return Registration(**{"sample_id": sample_id, "kind": "generation", "payload": asked, "at": AT} | fields)


async def lost(services: Services) -> list[Registration]:
    return await services.ledger.in_flight(EVER, 99)


async def drive(services: Services) -> list[Record]:
    """Run what the ledger's rows ask for through the whole road; return every end."""
    again = due(await lost(services), {}, before=EVER).again
    queue, ends = [one.record(services.now()) for one in again], []
    while queue:
        record = queue.pop(0)
        step = STEPS.get(record.topic)
        if step is None:
            ends.append(record)
        else:
            queue += await deliver(step, [read_back(record)], services)
    return ends


async def test_a_request_whose_message_is_gone_is_asked_for_again_and_is_the_same_request(services: Services):
    await deliver(generate, [message(request(count=3, strength=0.5))], services)  # and no judge ever sees the samples
    rows = await lost(services)

    [again] = due(rows, {}, before=EVER).again

    assert GenerationRequested.model_validate_json(again.record(AT).value) == request(count=3, strength=0.5)
    assert (again.name.topic, again.name.key) == (topics.GENERATION_REQUESTS.name, "r-1")
    ends = await drive(services)
    assert sorted(end.key.decode() for end in ends) == sorted(each.sample_id for each in rows)
    assert {end.topic for end in ends} <= {topics.SAMPLES_ACCEPTED.name, topics.SAMPLES_FLAGGED.name}
    assert await lost(services) == []


async def test_samples_whose_judge_died_ask_for_themselves_with_the_image_that_they_brought(services: Services):
    [made] = await deliver(generate, [message(request())], services)
    await deliver(judge, [read_back(made)], services)
    theirs = {"source": "lab", "sample_id": generated_sample_id("lab", "r-1", 0)}
    foreign = SampleGenerated.model_validate_json(made.value).model_copy(update=theirs)
    dying = replace(services, examiner=StubExaminer(failures=[Interrupted()]))
    with pytest.raises(Interrupted):
        await judge([message(training_sample(ANNA)), message(foreign)], dying)

    names = {asking(each).name for each in await lost(services)}

    trained = training_sample_id("run-1", 100, 0)
    assert names == {
        (topics.TRAINING_SAMPLES.name, "run-1", trained),
        (topics.GENERATION_SAMPLES.name, "lab", foreign.sample_id),
    }
    ends = await drive(services)
    assert {end.key.decode() for end in ends} == {trained, foreign.sample_id}
    assert topics.DEAD_LETTERS.name not in {end.topic for end in ends}


async def through_both(services: Services) -> None:
    """Take a request and a training sample to their ends."""
    [made] = await deliver(generate, [message(request())], services)
    await deliver(judge, [read_back(made), message(training_sample(ANNA))], services)


async def test_wherever_a_worker_dies_what_it_registered_ends_without_its_message(fresh_services):
    watch = Interruption()
    await through_both(watch.wrap(await fresh_services()))
    assert len(watch.calls) > 15

    for after in range(len(watch.calls)):
        services = await fresh_services()
        dying = Interruption(after_calls=after).wrap(services)
        with pytest.raises(Interrupted):
            await through_both(dying)

        await drive(services)

        assert await lost(services) == [], f"died before {watch.calls[after]}"


def test_a_request_is_sent_once_for_all_its_rows():
    assert len(due([row("s-0"), row("s-1")], {}, before=EVER).again) == 1


def test_requests_of_two_sources_with_one_request_id_are_two():
    other = asked_for(request(source="lab"))
    assert len(due([row("s-0"), row("s-1", other)], {}, before=EVER).again) == 2


@pytest.mark.parametrize(("ago", "again"), [(-1, 0), (0, 0), (1, 1)])
def test_what_was_driven_is_driven_again_only_when_it_was_left_alone_for_long_enough(ago: int, again: int):
    [first] = due([row()], {}, before=AT).again
    driven = {first.name: AT - timedelta(seconds=ago)}

    assert len(due([row()], driven, before=AT).again) == again


@pytest.mark.parametrize(
    "helpless",
    [
        row(kind="message", payload=b"no request"),
        row(kind="message", payload=asked_for(request())),
        row(payload=b"{}"),
        row(payload=b"\xff"),
        row(kind="training", payload=asked_for(request())),
    ],
)
def test_a_row_that_does_not_say_what_asked_for_it_is_counted_and_left_alone(helpless: Registration):
    found = due([helpless, row("s-1")], {}, before=EVER)

    assert (len(found.again), found.helpless) == (1, 1)


async def test_a_kafka_that_does_not_answer_is_an_unavailable_dependency(unused_tcp_port_factory):
    with pytest.raises(DependencyUnavailable, match="kafka is unavailable"):
        async with Backlog(f"127.0.0.1:{unused_tcp_port_factory()}", timeout_seconds=5):
            pass
