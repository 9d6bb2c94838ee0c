"""From requests to samples: what consent allows is made, once, and everything else is told why not."""

import itertools
import json
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from streams import topics
from streams.core.ids import generated_sample_id, message_id
from streams.core.ledger import State
from streams.core.records import Record
from streams.errors import DependencyUnavailable, GeneratorRejected
from streams.events import ImageRef, SampleGenerated, SampleJudged
from streams.ports import Services
from streams.steps import generate, judge
from streams.testing.generator import StubGenerator
from streams.testing.images import png
from streams.testing.interruption import Interrupted, Interruption
from streams.testing.ledger import ForgetfulLedger
from streams.testing.messages import TRACE, deliver, message, read_back, request, training_sample


def of(topic: topics.Topic, records: list[Record]) -> list[Record]:
    return [record for record in records if record.topic == topic.name]


def samples(records: list[Record]) -> list[SampleGenerated]:
    return [SampleGenerated.model_validate_json(each.value) for each in of(topics.GENERATION_SAMPLES, records)]


def verdicts(records: list[Record]) -> list[SampleJudged]:
    return [SampleJudged.model_validate_json(each.value) for each in of(topics.SAMPLES_FLAGGED, records)]


def dead(records: list[Record]) -> list[dict[str, str]]:
    """The headers of the dead letters, without their prefix."""
    return [
        {name.removeprefix("likeness.dlq."): value.decode() for name, value in record.headers if value is not None}
        for record in of(topics.DEAD_LETTERS, records)
    ]


async def run(services: Services, *messages: object, offset: int = 0, into: list[Record] | None = None) -> list[Record]:
    """Deliver bodies, or bytes, as one batch of requests."""
    read = [
        message(each, topic=topics.GENERATION_REQUESTS, offset=offset + place) for place, each in enumerate(messages)
    ]
    return await deliver(generate, read, services, into)


async def test_a_request_becomes_as_many_samples_as_it_asks_for(services: Services):
    made = samples(await run(services, request(count=3, seed=7, strength=0.5)))

    assert [sample.sample_id for sample in made] == [generated_sample_id("shop", "r-1", index) for index in range(3)]
    assert [(sample.index, sample.seed) for sample in made] == [(0, 7), (1, 8), (2, 9)]
    assert {(sample.identity, sample.model, sample.model_version, sample.strength) for sample in made} == {
        ("anna", "face_gan", "1", 0.5)
    }
    assert len({sample.image.sha256 for sample in made}) == 3


async def test_a_sample_keeps_its_id_as_key_and_hands_the_trace_on(services: Services):
    [record] = await run(services, request())

    assert record.key == generated_sample_id("shop", "r-1", 0).encode()
    assert record.headers[-1:] == TRACE


async def test_the_image_of_a_sample_is_in_the_store(services: Services):
    [sample] = samples(await run(services, request()))

    assert await services.images.get(sample.image)


async def test_the_generator_gets_a_source_frame_and_the_identitys_centroid(services: Services):
    face = png(np.full((4, 4, 3), 90, np.uint8))
    frame = await services.images.put(face)
    await run(services, request(identity="bert", count=2, frame=frame))

    centroid = (await services.gallery.identities(["bert"]))["bert"].centroid
    assert [prompt.frame for prompt in services.generator.prompts] == [face, face]
    assert {prompt.centroid for prompt in services.generator.prompts} == {tuple(centroid.tolist())}


async def test_a_request_whose_source_frame_is_not_in_the_store_is_a_dead_letter_and_its_neighbours_are_made(
    services: Services,
):
    nowhere = ImageRef(sha256="0" * 64, size=10)
    records = await run(services, request(request_id="r-1", frame=nowhere), request(request_id="r-2"))

    assert [letter["reason"] for letter in dead(records)] == ["image-missing"]
    assert [sample.request_id for sample in samples(records)] == ["r-2"]


async def test_the_generator_gets_the_identitys_own_conditioning(services: Services):
    await run(services, request(identity="bert", seed=5, count=2))

    assert [(prompt.seed, prompt.conditioning[:2]) for prompt in services.generator.prompts] == [
        (5, (0.0, 1.0)),
        (6, (0.0, 1.0)),
    ]


@pytest.mark.parametrize(
    ("identity", "code"), [("carl", "no-consent"), ("vip", "no-consent"), ("dora", "no-reference")]
)
async def test_what_may_not_be_made_is_flagged_without_an_image_and_reaches_no_generator(
    services: Services, identity: str, code: str
):
    records = await run(services, request(identity=identity, count=2))

    assert len(records) == 2
    for verdict in verdicts(records):
        assert [reason.code for reason in verdict.reasons] == [code]
        assert verdict.image is None
    assert services.generator.prompts == []


async def test_a_forbidden_request_asks_nothing_of_a_generator(services: Services):
    unreachable = _interrupted_at(services, "generator.")

    assert len(verdicts(await run(unreachable, request(identity="carl")))) == 1


async def test_consent_that_was_withdrawn_stops_the_next_request(services: Services):
    await run(services, request())
    await services.consent.withdraw("anna", at=services.now(), note="asked by mail")

    records = await run(services, request(request_id="r-2"), offset=1)

    assert [reason.code for reason in verdicts(records)[0].reasons] == ["no-consent"]
    assert len(services.generator.prompts) == 1


async def test_a_grant_that_begins_while_others_are_made_does_not_change_why_nothing_was_made(services: Services):
    start = services.now()
    await services.consent.grant("carl", evidence="form", at=start + timedelta(seconds=30), expires=None)
    moments = (start + timedelta(minutes=minute) for minute in itertools.count())

    records = await run(replace(services, now=lambda: next(moments)), request(identity="carl"))

    assert [reason.code for reason in verdicts(records)[0].reasons] == ["no-consent"]


async def test_the_same_batch_again_gives_the_same_bytes_and_makes_nothing_anew(services: Services):
    batch = [
        message(request(count=2)),
        message(request(request_id="r-2", identity="carl"), offset=1),
        message(b"{", topic=topics.GENERATION_REQUESTS, offset=2),
    ]
    first = await generate(batch, services)
    services.now.advance(60)

    again = await generate(batch, services)

    assert _sorted(again.records) == _sorted(first.records)
    assert len(services.generator.prompts) == 2


async def test_what_was_delivered_is_not_delivered_again_but_open_samples_are(services: Services):
    batch = (request(), request(request_id="r-2", identity="carl"), b"{")
    first = await run(services, *batch)

    again = await run(services, *batch)

    assert again == of(topics.GENERATION_SAMPLES, first)


async def test_a_sample_that_has_its_verdict_is_not_sent_again(services: Services):
    first = await run(services, request())
    await deliver(judge, [read_back(record) for record in first], services)

    assert await run(services, request()) == []


async def test_a_new_version_of_the_model_does_not_reach_what_was_asked_before(services: Services):
    [before] = samples(await run(services, request()))
    services.generator.models["face_gan"] = "2"

    [again] = samples(await run(services, request()))
    [later] = samples(await run(services, request(request_id="r-2"), offset=1))

    assert (before.model_version, again.model_version, later.model_version) == ("1", "1", "2")


async def test_a_request_that_was_asked_before_with_another_content_is_a_dead_letter(services: Services):
    await run(services, request(count=1))

    records = await run(services, request(count=3), offset=7)

    clash = message(request(count=3), offset=7)
    assert [(letter["reason"], letter["id"]) for letter in dead(records)] == [("request-conflict", message_id(clash))]
    assert len(records) == 1
    assert [prompt.seed for prompt in services.generator.prompts] == [7]


async def test_a_conflicting_request_leaves_the_first_one_alone(services: Services):
    first = await run(services, request(count=2))
    await run(services, request(count=2, seed=99), offset=7)

    assert await run(services, request(count=2)) == first


async def test_of_conflicting_requests_in_one_batch_the_first_is_served(services: Services):
    records = await run(services, request(count=2), request(count=3), request(count=1, seed=8))

    assert len(samples(records)) == 2
    assert [(letter["reason"], letter["offset"]) for letter in dead(records)] == [
        ("request-conflict", "1"),
        ("request-conflict", "2"),
    ]


async def test_the_same_request_twice_in_one_batch_is_made_once(services: Services):
    first = message(request(count=2))
    second = replace(first, offset=1, headers=(("traceparent", b"00-another"),))

    records = await deliver(generate, [first, second], services)

    assert [record.headers[-1:] for record in records] == [TRACE, TRACE]
    assert len(services.generator.prompts) == 2


async def test_a_request_with_an_unknown_field_is_the_same_request(services: Services):
    first = await run(services, request())
    with_more = json.dumps(json.loads(request().model_dump_json()) | {"colour": "blue"}).encode()

    assert await run(services, with_more, offset=1) == first


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "not-json"),
        (b"\xff", "not-json"),
        (b"{}", "schema-invalid"),
        (b'{"version": 9}', "version-unknown"),
    ],
)
async def test_a_message_that_is_no_request_is_dead_lettered_whole_and_the_others_are_served(
    services: Services, value: bytes | None, reason: str
):
    records = await run(services, value, request())

    [letter] = dead(records)
    [record] = of(topics.DEAD_LETTERS, records)
    assert (letter["reason"], letter["stage"], letter["topic"], letter["offset"]) == (
        reason,
        "generate",
        "generation.requests",
        "0",
    )
    assert (record.key, record.value, record.headers[:1]) == (b"key", value, TRACE)
    assert len(samples(records)) == 1


async def test_a_rejected_sample_does_not_take_its_batch_mates_down(services: Services):
    services = replace(services, generator=StubGenerator(refuses=lambda prompt: prompt.seed == 8))

    records = await run(services, request(count=3, seed=7), request(request_id="r-2", seed=100))

    assert [sample.seed for sample in samples(records)] == [7, 9, 100]
    [letter] = dead(records)
    assert (letter["reason"], letter["id"]) == ("generator-rejected", generated_sample_id("shop", "r-1", 1))


async def test_a_model_that_nobody_serves_is_a_dead_letter_for_each_sample(services: Services):
    records = await run(services, request(model="unheard-of", count=2), request(request_id="r-2"))

    assert [letter["reason"] for letter in dead(records)] == ["generator-rejected"] * 2
    assert len(samples(records)) == 1


async def test_an_identity_that_a_model_cannot_show_is_rejected(services: Services):
    services.generator.models["other_gan"] = "1"

    assert [letter["reason"] for letter in dead(await run(services, request(model="other_gan")))] == [
        "generator-rejected"
    ]


async def test_a_generator_that_is_down_ends_no_sample(services: Services):
    services = replace(services, generator=StubGenerator(failures=[DependencyUnavailable("triton", "down")]))
    with pytest.raises(DependencyUnavailable):
        await run(services, request())

    assert len(samples(await run(services, request()))) == 1


async def test_a_request_that_was_forbidden_is_made_if_consent_comes_before_its_verdict(services: Services):
    """The first try is broken off after it was registered, without a model version."""
    batch = [message(request(identity="carl"))]
    with pytest.raises(Interrupted):
        await generate(batch, _interrupted_at(services, "ledger.decide"))
    await services.consent.grant("carl", evidence="form", at=services.now(), expires=None)

    [sample] = samples(await deliver(generate, batch, services))

    assert sample.model_version == "1"


async def test_a_large_batch_is_made_in_parts_that_are_pinned_one_by_one(services: Services):
    watch = Interruption()
    await run(watch.wrap(services), request(count=64), request(request_id="r-2", count=2))

    assert watch.calls.count("generator.generate") == 3
    assert watch.calls.count("ledger.pin_images") == 3


MIXED = (
    request(count=2),
    request(request_id="r-2", identity="carl"),
    request(request_id="r-3", seed=666),
    b"{",
    request(count=1),
)


def _mixed_services(services: Services) -> Services:
    return replace(services, generator=StubGenerator(refuses=lambda prompt: prompt.seed == 666))


async def test_wherever_the_process_dies_nothing_is_lost_and_every_sample_ends_once(fresh_services):
    undisturbed = _mixed_services(await fresh_services())
    watch = Interruption()
    expected = _but_times(await run(watch.wrap(undisturbed), *MIXED))
    assert len(expected) == 6  # two samples, a flagged one, a rejected one, two messages
    assert len(watch.calls) > 10

    for calls in range(len(watch.calls)):
        services = _mixed_services(await fresh_services())
        published: list[Record] = []
        with pytest.raises(Interrupted):
            await run(Interruption(after_calls=calls).wrap(services), *MIXED, into=published)
        services.now.advance(60)

        await run(services, *MIXED, into=published)

        assert _but_times(published) == expected, f"died before {watch.calls[calls]}"
        assert len(set(published)) == len(expected), f"died before {watch.calls[calls]}"


async def test_without_a_ledger_the_same_sample_may_end_in_two_ways(services: Services):
    """The control of the tests above: it is the ledger that holds the promise."""
    services = replace(services, ledger=ForgetfulLedger())
    [first] = await run(services, request(identity="carl"))
    services.now.advance(60)

    [again] = await run(services, request(identity="carl"))

    assert again.key == first.key
    assert again != first


async def test_a_rejection_is_not_asked_for_again(services: Services):
    services = replace(services, generator=StubGenerator(failures=[GeneratorRejected("bad")]))
    await run(services, request())

    assert await run(services, request()) == []
    sample_id = generated_sample_id("shop", "r-1", 0)
    assert (await services.ledger.outcomes([sample_id]))[sample_id].state is State.DEAD


def _sorted(records: tuple[Record, ...] | list[Record]) -> list[Record]:
    return sorted(records, key=lambda record: (record.topic, record.key or b"", record.headers))


def _interrupted_at(services: Services, call: str) -> Services:
    class At(Interruption):
        def count(self, name: str) -> None:
            if name.startswith(call):
                raise Interrupted(name)

    return At().wrap(services)


def _but_times(records: list[Record]) -> list[tuple[object, ...]]:
    """What records say, apart from when; each once, as a consumer counts them."""
    said = set()
    for record in records:
        headers = tuple(each for each in record.headers if each[0] != "ce_time")
        value = record.value
        if record.topic == topics.SAMPLES_FLAGGED.name:
            judged = json.loads(value)
            del judged["judged_at"]
            value = json.dumps(judged).encode()
        said.add((record.topic, record.key, value, headers))
    return sorted(said, key=repr)


async def test_a_message_that_is_too_large_to_publish_again_is_a_dead_letter_by_pointer(services: Services):
    junk = b"{" + b"x" * 1_500_000
    batch = [message(junk, topic=topics.GENERATION_REQUESTS)]

    [record] = await deliver(generate, batch, services)

    pointer = ImageRef.model_validate_json(record.value)
    assert await services.images.get(pointer) == junk
    assert (await deliver(generate, batch, services)) == []


async def test_a_face_that_was_posted_to_the_wrong_topic_is_dead_lettered_by_pointer(services: Services):
    astray = message(training_sample(png(np.zeros((4, 4, 3), np.uint8))), topic=topics.GENERATION_REQUESTS)

    [record] = await deliver(generate, [astray], services)

    assert b"inline_image" not in record.value
    assert json.loads(record.value)["image"]["sha256"] in services.images.held
