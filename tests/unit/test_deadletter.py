"""Dead letters: everything that came, untouched, and why it could not be processed."""

from datetime import UTC, datetime

from streams.core.deadletter import DETAIL_CHARACTERS, Burial, outcome
from streams.core.ledger import State
from streams.core.records import Message
from streams.events import DeadReason

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MESSAGE = Message("training.samples", 2, 42, b"\xff key", b"\x00 value", (("traceparent", b"00-ab"), ("odd", None)))


def bury(**fields: object):
    burial = Burial(**{"sample_id": "id", "message": MESSAGE, "reason": DeadReason.NOT_JSON, "detail": "why"} | fields)
    return outcome(burial, stage="judge", version="likeness-qc/1", now=NOW)


def test_key_value_and_headers_are_kept_as_they_came():
    record = bury().record

    assert (record.topic, record.key, record.value) == ("dead.letters", b"\xff key", b"\x00 value")
    assert record.headers[:2] == MESSAGE.headers


def test_headers_behind_them_say_what_where_and_why():
    headers = bury(attempts=3).record.headers[2:]

    assert dict(headers) == {
        "likeness.dlq.id": b"id",
        "likeness.dlq.reason": b"not-json",
        "likeness.dlq.detail": b"why",
        "likeness.dlq.stage": b"judge",
        "likeness.dlq.topic": b"training.samples",
        "likeness.dlq.partition": b"2",
        "likeness.dlq.offset": b"42",
        "likeness.dlq.attempts": b"3",
        "likeness.dlq.version": b"likeness-qc/1",
    }


def test_a_value_that_must_not_be_kept_is_replaced():
    assert bury(value=b"a pointer").record.value == b"a pointer"
    assert bury(message=Message("t", 0, 0, None, None, ())).record.value is None


def test_a_long_explanation_is_cut():
    assert len(dict(bury(detail="ä" * 5000).record.headers)["likeness.dlq.detail"].decode()) == DETAIL_CHARACTERS


def test_a_burial_is_the_end_of_its_sample():
    end = bury()

    assert (end.sample_id, end.state, end.record.time, end.measurement) == ("id", State.DEAD, NOW, None)
