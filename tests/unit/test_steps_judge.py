"""From samples to verdicts: each sample ends once, and only what was shown to be good is accepted."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from streams import topics
from streams.core.faces import Undecodable
from streams.core.ids import generated_sample_id, message_id, training_sample_id
from streams.core.ledger import Registration
from streams.core.measurement import Measurement
from streams.core.policy import Domain
from streams.core.records import Message, Record
from streams.errors import DependencyUnavailable, ExaminerDied, PolicyRefused
from streams.events import DeadReason, ImageRef, SampleJudged, to_json
from streams.ports import Services
from streams.steps import generate, judge
from streams.testing.examiner import STUB_SPACE, StubExaminer
from streams.testing.images import picture, png
from streams.testing.interruption import Interrupted, Interruption
from streams.testing.ledger import ForgetfulLedger
from streams.testing.messages import TRACE, deliver, message, read_back, request, training_sample
from streams.testing.services import policy

ANNA, BERT, VIP = np.eye(8)[:3]
IN_BETWEEN = ANNA * 0.72 + BERT * 0.69
STRANGER = np.eye(8)[7]
FIRST = training_sample_id("run-1", 100, 0)


def drawn(vector=ANNA, **fields: int) -> bytes:
    return png(picture(vector, **fields))


def sample(encoded: bytes | None = None, offset: int = 0, **fields: object) -> Message:
    """A training sample as read; anna's picture where nothing is said."""
    return message(training_sample(drawn() if encoded is None else encoded, **fields), offset=offset)


async def run(services: Services, *messages: Message, into: list[Record] | None = None) -> list[Record]:
    return await deliver(judge, messages, services, into)


def verdict(record: Record) -> SampleJudged:
    return SampleJudged.model_validate_json(record.value)


def dead(records: list[Record]) -> list[Mapping[str, str]]:
    """The headers of the dead letters, without their prefix."""
    return [
        {name.removeprefix("likeness.dlq."): value.decode() for name, value in record.headers if value is not None}
        for record in records
        if record.topic == topics.DEAD_LETTERS.name
    ]


def by_topic(records: list[Record]) -> dict[str, list[str]]:
    """Which sample went where."""
    found: dict[str, list[str]] = {}
    for record in records:
        found.setdefault(record.topic, []).append((record.key or b"").decode())
    return found


async def test_a_generated_sample_is_accepted_with_its_evidence(services: Services):
    made = await deliver(generate, [message(request())], services)

    [record] = await run(services, *map(read_back, made))

    said = verdict(record)
    assert (record.topic, record.key) == ("samples.accepted", said.sample_id.encode())
    assert (said.kind, said.source, said.request_id, said.seed) == ("generation", "shop", "r-1", 7)
    assert (said.similarity, said.faces, said.reasons) == (1.0, 1, ())
    assert said.nearest[0].identity == "anna"
    assert record.headers[-1:] == TRACE


async def test_a_training_sample_is_judged_like_any_other(services: Services):
    [record] = await run(services, sample(index=3))

    said = verdict(record)
    assert (said.kind, said.source, said.step, said.index) == ("training", "run-1", 100, 3)
    assert (said.sample_id, record.topic) == (training_sample_id("run-1", 100, 3), "samples.accepted")


@pytest.mark.parametrize(
    ("encoded", "fields", "codes"),
    [
        (drawn(BERT), {}, ["leak", "mismatch", "ambiguous"]),
        (drawn(VIP), {}, ["leak", "mismatch", "ambiguous"]),
        (drawn(STRANGER), {}, ["mismatch", "ambiguous"]),
        (drawn(IN_BETWEEN), {}, ["leak", "ambiguous"]),
        (drawn(faces=0), {}, ["no-face"]),
        (drawn(faces=2), {}, ["several-faces"]),
        (drawn(side=39), {}, ["low-quality"]),
        (drawn(sharpness=19), {}, ["low-quality"]),
        (drawn(VIP), {"identity": "vip"}, ["no-consent"]),
        (drawn(np.eye(8)[3]), {"identity": "carl"}, ["no-consent"]),
        (drawn(STRANGER), {"identity": "dora"}, ["no-reference"]),
    ],
    ids=lambda value: "picture" if isinstance(value, bytes) else str(value),
)
async def test_what_is_not_shown_to_be_good_is_flagged_with_every_reason(
    services: Services, encoded: bytes, fields: dict[str, str], codes: list[str]
):
    [record] = await run(services, sample(encoded, **fields))

    assert record.topic == "samples.flagged"
    assert [reason.code for reason in verdict(record).reasons] == codes


async def test_what_was_measured_is_stored_and_gives_the_same_numbers(services: Services):
    [record] = await run(services, sample(drawn(IN_BETWEEN)))

    stored = Measurement.model_validate_json((await services.ledger.outcomes([FIRST]))[FIRST].measurement)

    assert (stored.similarity, stored.margin) == (verdict(record).similarity, verdict(record).margin)
    assert stored.others[0].identity == "bert"


async def test_embeddings_are_remembered_by_sample_and_travel_on_no_topic(services: Services):
    records = await run(services, sample(), sample(drawn(faces=0), index=1, offset=1))

    remembered = await services.gallery.recall([FIRST, training_sample_id("run-1", 100, 1)])
    assert list(remembered) == [FIRST]
    assert all("embedding" not in json.loads(record.value) for record in records)


async def test_an_inline_image_is_moved_to_the_store(services: Services):
    [record] = await run(services, sample())

    assert await services.images.get(verdict(record).image) == drawn()


async def test_the_same_batch_again_gives_the_same_bytes_and_examines_nothing_anew(services: Services):
    batch = [
        sample(),
        sample(drawn(BERT), index=1, offset=1),
        sample(b"no image", index=2, offset=2),
        message(b"{", topic=topics.TRAINING_SAMPLES, offset=3),
    ]
    first = await judge(batch, services)
    services.now.advance(60)

    again = await judge(batch, services)

    assert sorted(again.records, key=repr) == sorted(first.records, key=repr)
    assert sorted(again.decided) == sorted(first.decided)
    assert len(services.examiner.calls) == 1


async def test_what_was_delivered_is_not_delivered_again(services: Services):
    batch = [sample(), sample(b"no image", index=1, offset=1), message(b"{", topic=topics.TRAINING_SAMPLES, offset=2)]
    assert len(await run(services, *batch)) == 3

    assert await run(services, *batch) == []


async def test_another_policy_does_not_change_a_verdict_that_was_given(services: Services):
    first = (await judge([sample()], services)).records

    again = (await judge([sample()], replace(services, policy=policy(similarity=1, margin=2)))).records

    assert again == first


async def test_without_a_ledger_another_policy_changes_the_verdict(services: Services):
    """The control of the test above: it is the ledger that holds the promise."""
    services = replace(services, ledger=ForgetfulLedger())
    [first] = (await judge([sample()], services)).records

    [again] = (await judge([sample()], replace(services, policy=policy(margin=2)))).records

    assert (first.topic, again.topic) == ("samples.accepted", "samples.flagged")


async def test_the_same_sample_twice_in_one_batch_is_examined_once(services: Services):
    second = replace(sample(offset=1), headers=(("traceparent", b"00-another"),))

    records = await run(services, sample(), second)

    assert by_topic(records) == {"samples.accepted": [FIRST]}
    assert records[0].headers[-1:] == TRACE
    assert [len(call) for call in services.examiner.calls] == [1]


@pytest.mark.parametrize("fields", [{"identity": "bert"}, {"model": "other_gan"}, {"encoded": drawn(BERT)}])
@pytest.mark.parametrize("together", [True, False])
async def test_another_content_under_a_known_id_is_a_conflict_and_leaves_the_first_alone(
    services: Services, fields: dict[str, object], together: bool
):
    first, second = sample(), sample(offset=7, **fields)
    batches = [(first, second)] if together else [(first,), (second,)]

    records = [record for batch in batches for record in await run(services, *batch)]

    assert by_topic(records)["samples.accepted"] == [FIRST]
    [letter] = dead(records)
    assert (letter["reason"], letter["id"]) == ("request-conflict", message_id(second))


async def test_a_sample_of_a_request_must_bring_the_image_that_was_made_for_it(services: Services):
    [made] = await deliver(generate, [message(request())], services)
    forged = json.loads(made.value) | {"image": (await services.images.put(drawn(BERT))).model_dump()}

    records = await run(services, replace(read_back(made), value=json.dumps(forged).encode()))

    assert [letter["reason"] for letter in dead(records)] == ["request-conflict"]
    assert len(await run(services, read_back(made, offset=1))) == 1


async def test_a_sample_id_that_is_not_derived_is_refused(services: Services):
    [made] = await deliver(generate, [message(request())], services)
    renamed = json.dumps(json.loads(made.value) | {"sample_id": "0" * 32}).encode()

    forged = replace(read_back(made), value=renamed)

    [letter] = dead(await run(services, forged))

    assert (letter["reason"], letter["id"]) == ("schema-invalid", message_id(forged))


@pytest.mark.parametrize(
    ("value", "reason"),
    [(None, "not-json"), (b"\xff", "not-json"), (b"{}", "schema-invalid"), (b'{"version": 9}', "version-unknown")],
)
async def test_a_message_that_is_no_sample_is_dead_lettered_whole_and_the_others_are_judged(
    services: Services, value: bytes | None, reason: str
):
    records = await run(services, message(value, topic=topics.TRAINING_SAMPLES, offset=9), sample())

    [letter] = dead(records)
    assert (letter["reason"], letter["stage"], letter["offset"]) == (reason, "judge", "9")
    [record] = [record for record in records if record.topic == "dead.letters"]
    assert (record.key, record.value, record.headers[:1]) == (b"key", value, TRACE)
    assert FIRST in by_topic(records)["samples.accepted"]


async def test_an_image_that_is_missing_or_altered_buries_its_sample_alone(services: Services):
    altered = await services.images.put(drawn(STRANGER))
    services.images.held[altered.sha256] = drawn(BERT)
    missing = ImageRef(sha256="0" * 64, size=5)

    records = await run(
        services,
        sample(inline_image=None, image=missing),
        sample(inline_image=None, image=altered, index=1, offset=1),
        sample(index=2, offset=2),
    )

    assert [letter["reason"] for letter in dead(records)] == ["image-missing", "image-altered"]
    assert [letter["attempts"] for letter in dead(records)] == ["1", "1"]
    assert by_topic(records)["samples.accepted"] == [training_sample_id("run-1", 100, 2)]


async def test_bytes_that_are_no_image_bury_their_sample_alone(services: Services):
    large = drawn(STRANGER)
    too_large = Undecodable(DeadReason.IMAGE_TOO_LARGE, "5000 x 5000")
    services = replace(services, examiner=StubExaminer(answers={large: too_large}))

    records = await run(services, sample(b"no image"), sample(large, index=1, offset=1), sample(index=2, offset=2))

    assert [letter["reason"] for letter in dead(records)] == ["image-undecodable", "image-too-large"]
    assert len(by_topic(records)["samples.accepted"]) == 1


@pytest.mark.parametrize(
    "make",
    [
        lambda encoded: message(training_sample(encoded)),
        lambda encoded: message(training_sample(encoded, identity="bert"), offset=7),  # conflicts
        lambda encoded: _inline(encoded, version=9),
        lambda encoded: _inline(encoded, step=-1),
    ],
)
async def test_an_inline_image_is_in_the_store_and_neither_in_a_dead_letter_nor_in_the_ledger(services: Services, make):
    encoded = b"no image, but somebody's face for all we know"
    inline = base64.b64encode(encoded)
    [made] = await deliver(judge, [message(training_sample(encoded, index=0))], services)
    records = [made, *await run(services, make(encoded))]

    for record in records:
        assert inline not in record.value
        pointer = ImageRef.model_validate(json.loads(record.value)["image"])
        assert await services.images.get(pointer) == encoded
    ids = [letter["id"] for letter in dead(records)]
    rows = [[Registration(name, "message", b"", services.now())] for name in ids]
    held = await services.ledger.register(rows) if rows else {}
    assert len(held) == len(ids)
    assert all(inline not in row.registration.payload for row in held.values())


async def test_a_dead_letter_with_a_pointer_is_kept_to_the_byte(services: Services):
    body = training_sample(b"", inline_image=None, image=ImageRef(sha256="0" * 64, size=5))
    value = b" " + to_json(body).replace(b"{", b'{ "unknown":1,', 1)

    [record] = await run(services, message(value, topic=topics.TRAINING_SAMPLES))

    assert record.value == value


async def test_from_the_third_attempt_on_a_sample_is_examined_alone(services: Services):
    services = replace(services, examiner=StubExaminer(failures=[Interrupted()] * 2))
    batch = [sample(), sample(drawn(BERT), index=1, offset=1)]
    for _ in range(2):
        with pytest.raises(Interrupted):
            await judge(batch, services)

    records = await run(services, *batch)

    assert by_topic(records) == {
        "samples.accepted": [FIRST],
        "samples.flagged": [training_sample_id("run-1", 100, 1)],
    }
    assert [len(call) for call in services.examiner.calls] == [2, 2]
    assert services.lone_examiner.calls == [[drawn()], [drawn(BERT)]]


async def test_an_outage_is_no_attempt(services: Services):
    services = replace(services, examiner=StubExaminer(failures=[DependencyUnavailable("milvus", "down")] * 5))
    for _ in range(5):
        with pytest.raises(DependencyUnavailable):
            await judge([sample()], services)

    await run(services, sample())

    assert services.lone_examiner.calls == []
    assert (await services.ledger.attempt([FIRST]))[FIRST] == 2


class Full:
    """A part that can be read from and not be written to, as Milvus is when its disk is full."""

    def __init__(self, part: object, method: str) -> None:
        self._part, self._method = part, method

    def __getattr__(self, name: str) -> object:
        return self._refuse if name == self._method else getattr(self._part, name)

    async def _refuse(self, *arguments: object) -> None:
        raise DependencyUnavailable("part", "no space left")


@pytest.mark.parametrize(("part", "method"), [("gallery", "remember"), ("ledger", "decide")])
async def test_an_outage_after_the_look_is_no_attempt_either(services: Services, part: str, method: str):
    full = replace(services, **{part: Full(getattr(services, part), method)})
    for _ in range(5):
        with pytest.raises(DependencyUnavailable):
            await judge([sample()], full)

    assert (await services.ledger.attempt([FIRST]))[FIRST] == 1


async def test_a_policy_for_another_domain_than_the_gallerys_judges_nobody(services: Services):
    elsewhere = Domain(domain="photo", embedding_space=STUB_SPACE.fingerprint, comparator="centroid/raw")
    services = replace(services, policy=services.policy.model_copy(update={"holds_for": elsewhere}))

    with pytest.raises(PolicyRefused, match="photo references, this gallery's are synthetic"):
        await judge([sample()], services)


async def test_an_image_that_kills_three_children_is_a_crash_loop_and_its_batch_mates_live(services: Services):
    killer = drawn(STRANGER)
    services = replace(
        services,
        examiner=StubExaminer(answers={killer: Interrupted()}),
        lone_examiner=StubExaminer(answers={killer: ExaminerDied("signal 11")}),
    )
    batch = [sample(killer), sample(index=1, offset=1)]
    for _ in range(2):
        with pytest.raises(Interrupted):
            await judge(batch, services)

    records = await run(services, *batch)

    [letter] = dead(records)
    assert (letter["reason"], letter["id"], letter["attempts"]) == ("crash-loop", FIRST, "3")
    assert "signal 11" in letter["detail"]
    assert services.lone_examiner.calls.count([killer]) == 3
    assert by_topic(records)["samples.accepted"] == [training_sample_id("run-1", 100, 1)]


async def test_attempts_alone_never_bury_a_sample(services: Services):
    services = replace(services, examiner=StubExaminer(failures=[Interrupted()] * 2))
    services = replace(services, lone_examiner=StubExaminer(failures=[Interrupted()] * 8 + [ExaminerDied("oom")] * 2))
    for _ in range(10):
        with pytest.raises(Interrupted):
            await judge([sample()], services)

    assert by_topic(await run(services, sample())) == {"samples.accepted": [FIRST]}


async def test_a_lone_examiner_that_cannot_work_now_blames_no_sample(services: Services):
    no_memory = DependencyUnavailable("examiner", "its child was killed")
    failures = [ExaminerDied("oom"), no_memory, ExaminerDied("oom"), *[no_memory] * 5]
    services = replace(services, examiner=StubExaminer(failures=[Interrupted()] * 2))
    services = replace(services, lone_examiner=StubExaminer(failures=failures))
    for ends in [Interrupted] * 2 + [DependencyUnavailable] * 6:
        with pytest.raises(ends):
            await judge([sample()], services)

    assert by_topic(await run(services, sample())) == {"samples.accepted": [FIRST]}


@pytest.mark.parametrize("dependency", ["gallery", "examiner", "images"])
async def test_a_dependency_that_is_down_ends_no_sample(services: Services, dependency: str):
    watch = Interruption()
    await judge([sample(index=5)], watch.wrap(services))

    class Down(Interruption):
        def count(self, call: str) -> None:
            if call.startswith(dependency):
                raise DependencyUnavailable(dependency, "down")

    with pytest.raises(DependencyUnavailable):
        await judge([sample()], Down().wrap(services))
    assert await services.ledger.outcomes([FIRST]) == {}

    assert by_topic(await run(services, sample())) == {"samples.accepted": [FIRST]}


async def test_consent_that_is_withdrawn_before_the_verdict_counts(services: Services):
    made = await deliver(generate, [message(request())], services)
    await services.consent.withdraw("anna", at=services.now(), note="asked by mail")

    [record] = await run(services, *map(read_back, made))

    assert [reason.code for reason in verdict(record).reasons] == ["no-consent"]


async def _mixed(services: Services) -> list[Message]:
    """A batch with everything in it: two roads, good and bad, inline and by pointer, broken and conflicting."""
    made = await deliver(generate, [message(request(count=2))], services)
    return [
        *(read_back(record, offset=offset) for offset, record in enumerate(made)),
        sample(drawn(BERT)),
        sample(drawn(faces=0), index=1, offset=1),
        sample(b"no image", index=2, offset=2),
        sample(inline_image=None, image=ImageRef(sha256="0" * 64, size=5), index=3, offset=3),
        sample(drawn(VIP), offset=4),  # conflicts with the first
        _inline(b"picture", version=9, offset=5),
    ]


async def test_wherever_the_process_dies_nothing_is_lost_and_every_sample_ends_once(fresh_services):
    undisturbed = await fresh_services()
    watch = Interruption()
    batch = await _mixed(undisturbed)
    expected = _but_times(await run(watch.wrap(undisturbed), *batch))
    with_face = [generated_sample_id("shop", "r-1", 0), generated_sample_id("shop", "r-1", 1), FIRST]
    assert len(expected) == len(batch)
    assert len(watch.calls) > 15

    for calls in range(len(watch.calls)):
        services = await fresh_services()
        batch = await _mixed(services)
        published: list[Record] = []
        with pytest.raises(Interrupted):
            await run(Interruption(after_calls=calls).wrap(services), *batch, into=published)
        services.now.advance(60)

        await run(services, *batch, into=published)

        where = f"died before {watch.calls[calls]}"
        assert _but_times(published) == expected, where
        assert len(set(published)) == len(expected), where
        assert sorted(await services.gallery.recall(with_face)) == sorted(with_face), where


def _inline(encoded: bytes, offset: int = 9, **fields: object) -> Message:
    """A training sample with fields that a body would refuse."""
    content = json.loads(to_json(training_sample(encoded))) | fields
    return message(json.dumps(content).encode(), topic=topics.TRAINING_SAMPLES, offset=offset)


def _but_times(records: list[Record]) -> list[tuple[object, ...]]:
    """What records say, apart from when and how long it took and which attempt it was; each once."""
    said = set()
    for record in records:
        headers = tuple(each for each in record.headers if each[0] not in ("ce_time", "likeness.dlq.attempts"))
        value = record.value
        if record.topic != topics.DEAD_LETTERS.name:
            judged = json.loads(value)
            del judged["judged_at"], judged["timings_ms"]
            value = json.dumps(judged).encode()
        said.add((record.topic, record.key, value, headers))
    return sorted(said, key=repr)
