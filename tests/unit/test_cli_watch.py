"""What ``watch`` shows of a message: readable, and as JSON whatever the message holds."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from streams.cli.watch_lines import as_object, for_reading
from streams.events import SampleJudged, to_json


@dataclass
class Seen:
    """A record as aiokafka gives it."""

    value: bytes | None
    headers: tuple[tuple[str, bytes | None], ...] = ()


DEAD = Seen(
    b'{"version": 99}',
    (
        ("ce_id", b"someone's own"),
        ("likeness.dlq.reason", b"version-unknown"),
        ("likeness.dlq.detail", b"version 99 is newer than this release"),
        ("likeness.dlq.topic", b"generation.requests"),
        ("likeness.dlq.partition", b"2"),
        ("likeness.dlq.offset", b"17"),
    ),
)


def verdict(**fields: Any) -> SampleJudged:
    body = {
        "sample_id": "a" * 32,
        "kind": "generation",
        "source": "shop",
        "index": 0,
        "identity": "anna",
        "model": "face_gan",
        "decision": "accepted",
        "reasons": (),
        "similarity": 0.81,
        "nearest": (),
        "limits": {},
        "policy_version": "p@1",
        "judged_at": datetime(2030, 1, 1, tzinfo=UTC),
    }
    return SampleJudged.model_validate({**body, **fields})


def test_an_accepted_sample_is_one_line():
    assert for_reading("samples.accepted", Seen(to_json(verdict()))).plain == "✓ anna  similarity 0.8100  aaaaaaaa"


def test_a_flagged_sample_says_every_reason_on_a_line_of_its_own():
    reasons = [{"code": "leak", "text": "resembles bert"}, {"code": "mismatch", "text": "not anna"}]
    flagged = verdict(decision="flagged", reasons=reasons, similarity=None)
    lines = for_reading("samples.flagged", Seen(to_json(flagged))).plain.splitlines()
    assert lines == ["✗ anna  aaaaaaaa", "    leak: resembles bert", "    mismatch: not anna"]


def test_a_dead_letter_says_why_and_where_it_came_from():
    lines = for_reading("dead.letters", DEAD).plain.splitlines()
    assert lines == [
        "✗ version-unknown  from generation.requests[2]@17",
        "    version 99 is newer than this release",
    ]


def test_a_dead_letter_as_json_holds_the_reason_and_the_message():
    told = json.loads(as_object("dead.letters", DEAD))
    assert (told["reason"], told["offset"], told["value"]) == ("version-unknown", "17", '{"version": 99}')
    assert "ce_id" not in told


@pytest.mark.parametrize("value", [None, b"", b"\xff\xfe", b"hello", b"[1]", b'{"cut'])
@pytest.mark.parametrize("topic", ["generation.requests", "samples.flagged", "dead.letters"])
def test_no_message_can_stop_the_watch(topic, value):
    assert isinstance(for_reading(topic, Seen(value)).plain, str)
    line = as_object(topic, Seen(value))
    assert "\n" not in line
    assert isinstance(json.loads(line)["value"], str)


def test_a_body_travels_into_the_json_as_it_is():
    assert json.loads(as_object("samples.accepted", Seen(to_json(verdict())))) == json.loads(to_json(verdict()))


def test_a_long_message_is_cut_for_reading_and_whole_as_json():
    long = Seen(json.dumps({"inline_image": "x" * 5000}).encode())
    assert len(for_reading("training.samples", long).plain) < 300
    assert len(as_object("training.samples", long)) > 5000


@pytest.mark.parametrize(
    "value",
    [
        b'{"source": "\\ud800"}',
        b'{"a": NaN}',
        b'{"a": 1' + b"0" * 5000 + b"}",
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b"\xff\xfe",
    ],
)
def test_whatever_a_message_holds_its_object_can_be_written_and_read_back(value):
    line = as_object("generation.requests", Seen(value))

    assert json.loads(line.encode()) == {"value": value.decode(errors="replace")}


@pytest.mark.parametrize("topic", ["generation.requests", "dead.letters"])
def test_no_message_steers_the_terminal(topic):
    steering = b"\x1b[2J\x1b]0;title\x07\x9b\r\xe2\x80\xae"
    shown = for_reading(topic, Seen(steering, (("likeness.dlq.detail", steering), ("likeness.dlq.reason", steering))))

    assert all(each.isprintable() or each == "\n" for each in shown.plain)
