"""Which dead letters are shown and sent back, what is sent, and what a run that is cut off leaves behind."""

from collections.abc import Iterable
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.redrives import SqlRedrives
from streams.adapters.ledger.samples import SqlLedger
from streams.cli.terminal.moments import moment
from streams.core import deadletter
from streams.core.deadletter import Burial, Kept
from streams.core.faces import Undecodable
from streams.core.ledger import Outcome, Registration, State
from streams.core.records import Message, Record
from streams.core.redrive import MOST_REDRIVES, REDRIVEN, Redrive, SentAgain, message_of, refusal
from streams.errors import BadInput, DependencyUnavailable
from streams.events import DeadReason
from streams.ports import Services
from streams.steps import generate, judge
from streams.testing.examiner import StubExaminer
from streams.testing.generator import StubGenerator
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, read_back, request, training_sample
from streams.testing.services import FrozenClock
from streams.tools.audit.records import Raw
from streams.tools.dead_letters import DeadLetter, Wanted, letter_of, one, told_apart
from streams.tools.redrive import Done, chosen, foreseen, redrive
from tests.delivered import delivered

NOW = datetime(2030, 1, 1, 12, tzinfo=UTC)
MESSAGE = Message("training.samples", 2, 42, b"\xff key", b"\x00 value", (("traceparent", b"00-ab"), ("odd", None)))


def dead(sample_id: str = "aa", message: Message = MESSAGE, at: datetime = NOW, **fields: object) -> Outcome:
    burial = {"sample_id": sample_id, "message": message, "reason": DeadReason.IMAGE_MISSING, "detail": "why"}
    versions = {"version": "likeness-qc/1", "policy_version": "p/1"}
    return deadletter.outcome(Burial(**burial | fields), stage="judge", now=at, **versions)  # type: ignore[arg-type]


def found(record: Record, offset: int = 0) -> DeadLetter:
    """The letter as its topic holds it: Kafka keeps milliseconds."""
    time_ms = int(record.time.timestamp() * 1000)
    letter = letter_of(Raw("dead.letters", 0, offset, record.key, record.value, record.headers, time_ms))
    assert letter is not None
    return letter


def letters(*outcomes: Outcome, history: Iterable[Redrive] = ()) -> list[DeadLetter]:
    return told_apart([found(each.record, offset) for offset, each in enumerate(outcomes)], history)


# -- what is sent ------------------------------------------------------------------------------------------------------


def test_what_is_sent_back_is_the_original_message_and_a_count():
    again = message_of(Redrive("aa", 1, dead().record, sent=False))

    assert again == SentAgain(MESSAGE.topic, MESSAGE.key, MESSAGE.value, (*MESSAGE.headers, (REDRIVEN, b"1")))


@pytest.mark.parametrize(
    ("said", "n", "expected"), [(b"2", 1, b"3"), (b"1", 2, b"2"), (b"-1", 1, b"1"), (None, 1, b"1")]
)
def test_the_count_goes_on_where_the_message_had_another_id(said, n, expected):
    message = replace(MESSAGE, headers=((REDRIVEN, said),))

    assert message_of(Redrive("aa", n, dead(message=message).record, sent=False)).headers == ((REDRIVEN, expected),)


# -- what is refused ---------------------------------------------------------------------------------------------------


def test_what_died_after_every_redrive_is_refused_unless_forced():
    letter = dead().record
    assert refusal(letter, MOST_REDRIVES - 1) is None
    assert "--force" in (refusal(letter, MOST_REDRIVES) or "")
    assert refusal(letter, MOST_REDRIVES, force=True) is None


def test_a_message_that_gets_a_new_id_each_time_is_refused_by_its_own_count():
    message = replace(MESSAGE, headers=((REDRIVEN, str(MOST_REDRIVES).encode()),))
    assert "--force" in (refusal(dead(message=message).record, 0) or "")


@pytest.mark.parametrize(
    ("extent", "said"), [(Kept.POINTER, "only a pointer is here"), (Kept.BARE, "its key and headers were too large")]
)
def test_what_is_not_whole_is_refused_even_by_force(extent, said):
    assert said in (refusal(dead(extent=extent).record, 0, force=True) or "")


def test_words_that_speak_of_the_image_store_refuse_nothing():
    detail = f"expected an image (another one is in the image store: {'a' * 64})"
    assert refusal(dead(detail=detail).record, 0) is None


def test_a_letter_that_a_later_release_kept_otherwise_is_refused():
    record = dead().record
    headers = tuple((name, b"half" if name == "likeness.dlq.kept" else held) for name, held in record.headers)
    assert "'half'" in (refusal(replace(record, headers=headers), 0, force=True) or "")


@pytest.mark.parametrize("topic", ["samples.accepted", "dead.letters", "somewhere"])
def test_nothing_is_sent_to_a_topic_on_which_nothing_comes_in(topic):
    assert topic in (refusal(dead(message=replace(MESSAGE, topic=topic)).record, 0) or "")


# -- what is chosen ----------------------------------------------------------------------------------------------------


def test_a_letter_without_an_id_is_not_ours():
    assert letter_of(Raw("dead.letters", 0, 0, None, b"?", (("other", b"1"),), 0)) is None


def test_a_letter_that_is_on_its_topic_twice_is_one():
    assert len(letters(dead(), dead())) == 1


def test_of_one_id_only_the_newest_letter_is_sent_back_and_only_if_it_was_not_yet():
    first, second = dead(at=NOW), dead(at=NOW + timedelta(seconds=5))
    before = Redrive("aa", 1, first.record, sent=True)
    again = Redrive("aa", 2, second.record, sent=True)

    assert [each.time for each in chosen(letters(first, second, history=[before]), Wanted(), None)] == [
        second.record.time
    ]
    assert chosen(letters(first, history=[before]), Wanted(), None) == []
    assert chosen(letters(first, second, history=[before, again]), Wanted(), None) == []


def test_a_letter_is_known_as_sent_back_by_every_byte():
    micros = replace(dead().record, time=NOW + timedelta(microseconds=999))  # the ledger has them, Kafka has not
    same = Redrive("aa", 1, micros, sent=True)
    other = Redrive("aa", 1, replace(micros, value=b"other"), sent=True)

    assert [each.sent_back for each in letters(dead(), history=[same])] == [True]
    assert [each.sent_back for each in letters(dead(), history=[other])] == [False]


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (Wanted(), ["aa", "ab", "b"]),
        (Wanted(ids=["a"]), ["aa", "ab"]),
        (Wanted(ids=["ab", "b"]), ["ab", "b"]),
        (Wanted(reason="crash-loop"), ["b"]),
        (Wanted(topic="generation.samples"), ["ab"]),
        (Wanted(since=NOW + timedelta(seconds=1)), ["ab", "b"]),
    ],
)
def test_filters_choose(wanted, expected):
    all_three = letters(
        dead("aa"),
        dead("ab", message=replace(MESSAGE, topic="generation.samples"), at=NOW + timedelta(seconds=1)),
        dead("b", reason=DeadReason.CRASH_LOOP, at=NOW + timedelta(seconds=2)),
    )
    assert [each.id for each in chosen(all_three, wanted, None)] == expected
    assert [each.id for each in chosen(all_three, wanted, 1)] == expected[:1]


def test_the_beginning_of_an_id_names_one_letter_or_is_refused():
    both = letters(dead("aa"), dead("ab"))
    assert one(both, "ab").id == "ab"
    for beginning in ("a", "c"):
        with pytest.raises(BadInput):
            one(both, beginning)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90m", NOW - timedelta(minutes=90)),
        ("3d", NOW - timedelta(days=3)),
        ("2029-12-31T23:00", datetime(2029, 12, 31, 23, tzinfo=UTC)),
        ("2029-12-31T23:00+01:00", datetime(2029, 12, 31, 22, tzinfo=UTC)),
    ],
)
def test_a_moment_is_so_long_ago_or_a_date(text, expected):
    assert moment(text, NOW) == expected


@pytest.mark.parametrize("text", ["", "yesterday", "3", "999999d", "-1h"])
def test_a_moment_that_is_none_is_refused_with_examples(text):
    with pytest.raises(BadInput, match="90m"):
        moment(text, NOW)


# -- one run -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def redrives(database: Database) -> SqlRedrives:
    return SqlRedrives(database)


async def died(ledger: SqlLedger, *outcomes: Outcome) -> None:
    await ledger.register([[Registration(each.sample_id, "training", b"asked", NOW)] for each in outcomes])
    await ledger.decide(outcomes)
    await delivered(ledger, [each.sample_id for each in outcomes])


class Topic:
    """Where messages are published to; it may be away."""

    def __init__(self, away: bool = False) -> None:
        self.away = away
        self.sent: list[SentAgain] = []

    async def __call__(self, message: SentAgain) -> None:
        if self.away:
            raise DependencyUnavailable("kafka", "away")
        self.sent.append(message)


async def run(redrives: SqlRedrives, topic: Topic, *which: DeadLetter, force: bool = False) -> list[Done]:
    return await redrive(which, redrives, topic, now=FrozenClock(NOW), note="", force=force)


async def test_each_letter_is_sent_back_once(ledger: SqlLedger, redrives: SqlRedrives):
    topic, both = Topic(), (dead("aa"), dead("ab"))
    await died(ledger, *both)

    assert await run(redrives, topic, *letters(*both)) == [Done("aa", "sent"), Done("ab", "sent")]
    assert [each.what for each in await run(redrives, topic, *letters(*both))] == ["refused", "refused"]
    assert len(topic.sent) == 2


async def test_a_run_that_was_cut_off_before_publishing_is_taken_up_by_the_next(
    ledger: SqlLedger, redrives: SqlRedrives
):
    letter = dead()
    await died(ledger, letter)
    with pytest.raises(DependencyUnavailable):
        await run(redrives, Topic(away=True), *letters(letter))
    assert await ledger.outcomes(["aa"]) == {}

    topic = Topic()
    assert await run(redrives, topic) == [Done("aa", "resumed")]
    assert [each.value for each in topic.sent] == [MESSAGE.value]
    assert await run(redrives, topic) == []


async def test_a_dry_run_tells_what_a_run_then_does(ledger: SqlLedger, redrives: SqlRedrives):
    outcomes = (dead("aa"), dead("ab", extent=Kept.POINTER))
    await died(ledger, *outcomes)
    told = foreseen(letters(*outcomes), await redrives.unsent(), force=False)

    assert (await ledger.outcomes(["aa"]))["aa"].state is State.DEAD
    assert await run(redrives, Topic(), *letters(*outcomes)) == told
    assert [each.what for each in told] == ["sent", "refused"]


async def test_a_sample_that_dies_each_time_ends_the_loop_until_somebody_insists(
    ledger: SqlLedger, redrives: SqlRedrives
):
    topic = Topic()
    for round_ in range(MOST_REDRIVES + 1):
        letter = dead(at=NOW + timedelta(seconds=round_))
        await died(ledger, letter)
        [now_dead] = letters(letter, history=await redrives.history(["aa"]))
        [done] = await run(redrives, topic, now_dead)
        assert done.what == ("sent" if round_ < MOST_REDRIVES else "refused")

    assert await run(redrives, topic, now_dead, force=True) == [Done("aa", "sent")]
    assert [dict(each.headers)[REDRIVEN] for each in topic.sent] == [b"1", b"2", b"3", b"4"]


# -- along the road ----------------------------------------------------------------------------------------------------


def buried(records: Iterable[Record]) -> list[DeadLetter]:
    return told_apart([found(each) for each in records if each.topic == "dead.letters"], ())


def sent(topic: Topic, offset: int) -> list[Message]:
    """What was sent, as the next worker reads it."""
    return [Message(m.topic, 0, offset + i, m.key, m.value, m.headers) for i, m in enumerate(topic.sent)]


async def test_samples_that_no_generator_made_are_made_once_it_is_served(services: Services, redrives: SqlRedrives):
    services = replace(services, generator=StubGenerator(models={}))
    both = buried(await deliver(generate, [message(request(count=2))], services))
    topic = Topic()
    assert [done.what for done in await run(redrives, topic, *both)] == ["sent", "sent"]

    services = replace(services, generator=StubGenerator())
    made = await deliver(generate, sent(topic, offset=1), services)

    assert [each.topic for each in made] == ["generation.samples"] * 2  # both messages ask for both; each is made once
    verdicts = await deliver(judge, [read_back(each, offset=i) for i, each in enumerate(made)], services)
    assert [each.topic for each in verdicts] == ["samples.accepted"] * 2


async def test_an_inline_image_that_was_buried_by_pointer_is_judged_by_the_pointer(
    services: Services, redrives: SqlRedrives
):
    encoded = png(picture([1, 0, 0, 0, 0, 0, 0, 0]))
    too_large = Undecodable(DeadReason.IMAGE_TOO_LARGE, "under the old limit")
    strict = replace(services, examiner=StubExaminer(answers={encoded: too_large}))
    [letter] = buried(await deliver(judge, [message(training_sample(encoded))], strict))
    topic = Topic()
    await run(redrives, topic, letter)

    [verdict] = await deliver(judge, sent(topic, offset=1), services)

    assert (verdict.topic, verdict.key) == ("samples.accepted", letter.id.encode())
    assert b"inline_image" not in (topic.sent[0].value or b"")
