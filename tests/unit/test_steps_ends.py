"""How strangers' messages end: what no topic takes once more is buried by pointer; nothing is handed on unbounded."""

import json
from dataclasses import replace

import pytest

from streams import topics
from streams.core.deadletter import explanation
from streams.core.faces import Undecodable
from streams.core.records import Message, Record
from streams.core.redrive import refusal
from streams.events import IMAGE_BYTES, TRACE_BYTES, DeadReason, ImageRef, SampleJudged
from streams.ports import Services
from streams.steps import generate, judge
from streams.steps.ends import LARGEST_DEAD_LETTER
from streams.testing.examiner import StubExaminer
from streams.testing.images import picture, png
from streams.testing.messages import TRACE, deliver, message, request, training_sample

ANNA = png(picture([1, 0, 0, 0, 0, 0, 0, 0]))

#: What Kafka takes of one record, our own headers and its envelope included.
RECORD_LIMIT = 1_000_000
FULL = b"x" * 1_040_000


def unreadable(value: bytes | None = b"no sample", **fields: object) -> Message:
    return replace(message(value, topic=topics.TRAINING_SAMPLES, headers=()), **fields)  # type: ignore[arg-type]


async def letter_of(services: Services, one: Message) -> Record:
    [record] = await deliver(judge, [one], services)
    assert record.topic == topics.DEAD_LETTERS.name
    return record


def weight(record: Record) -> int:
    headers = sum(len(name) + len(value or b"") for name, value in record.headers)
    return len(record.key or b"") + len(record.value or b"") + headers


@pytest.mark.parametrize(
    ("one", "kept"),
    [
        (unreadable(FULL), "pointer"),
        (unreadable(b"x", headers=(("large", FULL),)), "bare"),
        (unreadable(None, headers=(("large", FULL),)), "bare"),
        (unreadable(b"x", key=FULL), "bare"),
        (unreadable(FULL[:600_000], key=FULL[:600_000]), "pointer"),
        (unreadable(b"{" * 60, headers=tuple((f"name-{number}", b"") for number in range(80_000))), "bare"),
    ],
    ids=["value", "header", "header and no value", "key", "key and value", "many headers"],
)
async def test_no_dead_letter_is_larger_than_its_topic_takes(services: Services, one: Message, kept: str):
    letter = await letter_of(services, one)

    assert weight(letter) < RECORD_LIMIT
    why = explanation(letter.headers)
    assert (why["reason"], why["kept"]) == ("not-json", kept)
    assert refusal(letter, 0) is not None


@pytest.mark.parametrize("large", [{"value": FULL}, {"key": FULL}, {"headers": (("a", FULL), ("b", None))}])
async def test_what_is_buried_by_pointer_is_whole_in_the_store(services: Services, large: dict[str, object]):
    letter = await letter_of(services, unreadable(**large))

    detail = explanation(letter.headers)["detail"]
    stored = [await services.images.find(word.strip(")")) for word in detail.split() if len(word.strip(")")) == 64]
    held = b"".join([await services.images.get(ref) for ref in stored if ref])
    for whole in large.values():
        told = whole if "value" in large else json.dumps(FULL.hex()).encode()
        assert told in held  # type: ignore[operator]


async def test_what_is_as_large_as_may_be_is_buried_whole(services: Services):
    largest = b"x" * (LARGEST_DEAD_LETTER - len(b"key"))

    letter = await letter_of(services, unreadable(largest))

    assert (letter.key, letter.value) == (b"key", largest)
    assert explanation(letter.headers)["kept"] == "whole"
    assert weight(letter) < RECORD_LIMIT


async def test_a_trace_that_is_too_long_is_not_handed_on(services: Services):
    headers = (("tracestate", b"x" * (TRACE_BYTES + 1)), *TRACE)
    made = await deliver(generate, [message(request(), headers=headers)], services)
    judged = await deliver(judge, [message(training_sample(ANNA), headers=headers)], services)

    for record in (*made, *judged):
        assert TRACE[0] in record.headers
        assert "tracestate" not in dict(record.headers)


async def test_a_trace_that_is_there_many_times_is_handed_on_once(services: Services):
    headers = (("traceparent", b"x"),) * 50_000
    [record] = await deliver(judge, [message(training_sample(ANNA), headers=headers)], services)

    assert sum(name == "traceparent" for name, _ in record.headers) == 1


async def test_an_image_that_says_it_is_too_large_is_not_even_looked_for(services: Services):
    claim = ImageRef(sha256="0" * 64, size=IMAGE_BYTES + 1)
    letter = await letter_of(services, message(training_sample(b"", inline_image=None, image=claim)))

    assert explanation(letter.headers)["reason"] == "image-too-large"


async def test_an_image_that_kills_its_decoder_is_a_dead_letter_and_its_batch_is_judged(services: Services):
    killer = Undecodable(DeadReason.CRASH_LOOP, "3 decoder processes died of it", "ExaminerDied")
    services = replace(services, examiner=StubExaminer(answers={b"a killer": killer}))
    batch = [message(training_sample(b"a killer")), message(training_sample(ANNA, index=1), offset=1)]

    records = await deliver(judge, batch, services)

    [letter] = [record for record in records if record.topic == topics.DEAD_LETTERS.name]
    [verdict] = [record for record in records if record.topic == topics.SAMPLES_ACCEPTED.name]
    why = explanation(letter.headers)
    assert (why["reason"], why["exception"], why["attempts"]) == ("crash-loop", "ExaminerDied", "1")
    assert SampleJudged.model_validate_json(verdict.value or b"").index == 1


async def test_a_dead_letter_names_the_versions_that_gave_up(services: Services):
    why = explanation((await letter_of(services, unreadable())).headers)

    assert why["version"].startswith("likeness-qc/")
    assert why["policy-version"] == services.policy.version
