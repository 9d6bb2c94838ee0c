"""Dead letters: everything that came, untouched, and why it could not be processed."""

import json
from dataclasses import replace
from datetime import UTC, datetime

from streams.core.deadletter import DETAIL_CHARACTERS, Burial, envelope, explanation, outcome
from streams.core.ledger import State
from streams.core.records import Message
from streams.events import DeadReason

NOW = datetime(2030, 1, 1, tzinfo=UTC)
MESSAGE = Message("training.samples", 2, 42, b"\xff key", b"\x00 value", (("traceparent", b"00-ab"), ("odd", None)))


def bury(**fields: object):
    burial = Burial(**{"sample_id": "id", "message": MESSAGE, "reason": DeadReason.NOT_JSON, "detail": "why"} | fields)
    return outcome(burial, stage="judge", version="likeness-qc/1", policy_version="p/1", now=NOW)


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
        "likeness.dlq.exception": b"",
        "likeness.dlq.kept": b"whole",
        "likeness.dlq.version": b"likeness-qc/1",
        "likeness.dlq.policy-version": b"p/1",
    }


def test_a_value_that_must_not_be_kept_is_replaced():
    assert bury(value=b"a pointer").record.value == b"a pointer"
    assert bury(message=Message("t", 0, 0, b"key", None, ())).record.value is None


def test_where_there_is_neither_key_nor_value_an_empty_one_stands_for_it():
    # aiokafka refuses to send such a record, however often the batch comes again.
    record = bury(message=Message("t", 0, 0, None, None, ())).record

    assert (record.key, record.value) == (None, b"")


def test_a_long_explanation_is_cut():
    assert len(dict(bury(detail="ä" * 5000).record.headers)["likeness.dlq.detail"].decode()) == DETAIL_CHARACTERS


def test_a_burial_is_the_end_of_its_sample():
    end = bury()

    assert (end.sample_id, end.state, end.record.time, end.measurement) == ("id", State.DEAD, NOW, None)


def test_the_exception_is_named_where_one_was_raised():
    assert dict(bury(exception="ImageMissing").record.headers)["likeness.dlq.exception"] == b"ImageMissing"


def test_what_a_stranger_says_in_our_headers_is_overruled():
    forged = Message("t", 0, 0, None, b"x", (("likeness.dlq.reason", b"accepted"), ("likeness.dlq.id", b"forged")))
    said = explanation(bury(message=forged).record.headers)

    assert (said["reason"], said["id"]) == ("not-json", "id")


def test_a_burial_weighs_its_key_its_kept_value_and_its_headers():
    burial = Burial("id", Message("t", 0, 0, b"kk", b"value", (("ä", b"12345"), ("n", None))), DeadReason.NOT_JSON, "")

    # Two bytes of key, the value, and of each header name, value and two lengths of five bytes at most.
    assert burial.weight == 2 + 5 + (2 + 5 + 10) + (1 + 10)
    assert replace(burial, value=b"p").weight == 2 + 1 + (2 + 5 + 10) + (1 + 10)


def test_an_envelope_tells_key_and_headers_apart_from_none():
    held = json.loads(envelope(MESSAGE))

    assert held == {"key": b"\xff key".hex(), "headers": [["traceparent", b"00-ab".hex()], ["odd", None]]}
    assert json.loads(envelope(replace(MESSAGE, key=None)))["key"] is None
