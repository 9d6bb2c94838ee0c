"""From bytes to a body, or to the reason why it is none; nothing that strangers send is an exception."""

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.parse import CarriedImage, Refused, carried_image, parse
from streams.events import (
    INLINE_IMAGE_BYTES,
    DeadReason,
    GenerationRequested,
    ImageRef,
    SampleGenerated,
    TrainingSamplePublished,
    to_json,
)
from streams.testing.messages import message, request
from streams.topics import GENERATION_REQUESTS, TRAINING_SAMPLES, UNREADABLE

VALID = {"source": "shop", "request_id": "r-1", "identity": "anna"}
TRAINED = {"run_id": "run", "step": 1, "index": 0, "identity": "anna", "model": "gan"}
POINTER = {"sha256": "0" * 64, "size": 5}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


def asked(**fields: object):
    return parse(message(json.dumps(VALID | fields).encode(), topic=GENERATION_REQUESTS), GenerationRequested)


def trained(**fields: object):
    return parse(message(json.dumps(TRAINED | fields).encode(), topic=TRAINING_SAMPLES), TrainingSamplePublished)


def test_a_body_is_read_as_it_was_written():
    assert parse(message(request(count=3)), GenerationRequested) == request(count=3)


def test_an_unknown_field_is_tolerated():
    assert asked(colour="blue") == GenerationRequested(**VALID)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, DeadReason.NOT_JSON),
        (b"", DeadReason.NOT_JSON),
        (b"\xff\xfe\x00", DeadReason.NOT_JSON),
        (b"{", DeadReason.NOT_JSON),
        (b'{"seed": NaN}', DeadReason.NOT_JSON),
        (b"[" * 100_000, DeadReason.NOT_JSON),
        (b"[]", DeadReason.SCHEMA_INVALID),
        (b'"text"', DeadReason.SCHEMA_INVALID),
        (b"{}", DeadReason.SCHEMA_INVALID),
        (b'{"version": 2}', DeadReason.VERSION_UNKNOWN),
        (b'{"version": "1"}', DeadReason.VERSION_UNKNOWN),
        (b'{"version": null}', DeadReason.VERSION_UNKNOWN),
    ],
)
def test_what_is_no_request_is_refused_with_the_reason(value, reason):
    refused = parse(message(value, topic=GENERATION_REQUESTS), GenerationRequested)

    assert isinstance(refused, Refused)
    assert refused.reason is reason
    assert refused.detail


@pytest.mark.parametrize(
    "fields",
    [
        {"identity": ""},
        {"identity": "a" * 201},
        {"identity": "anna\n"},
        {"identity": "anna\u0000"},
        {"identity": "../etc"},
        {"identity": None},
        {"count": 0},
        {"count": 65},
        {"seed": -1},
        {"seed": 2**62 + 1},
        {"seed": 10**400},
        {"strength": 1.1},
        {"strength": "NaN"},
    ],
)
def test_a_field_out_of_its_range_is_refused(fields):
    refused = asked(**fields)

    assert isinstance(refused, Refused)
    assert refused.reason is DeadReason.SCHEMA_INVALID
    assert next(iter(fields)) in refused.detail


def test_numbers_that_no_database_holds_are_refused():
    sample = SampleGenerated(
        sample_id="0" * 32,
        source="shop",
        request_id="r",
        index=0,
        identity="anna",
        model="gan",
        model_version="1",
        seed=2**63 - 1,
        strength=0,
        image=ImageRef(sha256="0" * 64, size=2**62),
    )
    for field, value in (("seed", 2**63), ("image", {"sha256": "0" * 64, "size": 2**63})):
        content = json.loads(to_json(sample)) | {field: value}
        assert isinstance(
            parse(message(json.dumps(content).encode(), topic=TRAINING_SAMPLES), SampleGenerated), Refused
        )


def test_a_refusal_does_not_repeat_what_was_sent():
    refused = asked(identity="secret person!", strength="secret")

    assert "secret" not in refused.detail


def test_a_type_header_of_another_event_is_refused_and_a_missing_one_is_not():
    other = message(request(), headers=(("ce_type", b"dev.likeness.sample.judged.v1"),))

    assert parse(other, GenerationRequested).reason is DeadReason.SCHEMA_INVALID
    assert parse(message(request(), headers=()), GenerationRequested) == request()
    assert parse(message(request(), headers=(("ce_type", None),)), GenerationRequested) == request()


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"image": POINTER, "inline_image": "aGk="},
        {"inline_image": "not base64!"},
        {"inline_image": ""},
        {"inline_image": base64.b64encode(b"x" * (INLINE_IMAGE_BYTES + 1)).decode()},
        {"image": {"sha256": "../../etc/passwd", "size": 5}},
        {"image": {"sha256": "0" * 64, "size": 0}},
    ],
)
def test_a_sample_has_exactly_one_image_and_a_readable_one(fields):
    assert trained(**fields).reason is DeadReason.SCHEMA_INVALID


def test_an_inline_image_may_have_512_kib():
    largest = base64.b64encode(b"x" * INLINE_IMAGE_BYTES).decode()

    assert len(trained(inline_image=largest).inline_bytes()) == INLINE_IMAGE_BYTES


@given(st.binary(max_size=200) | json_values.map(lambda value: json.dumps(value).encode()))
def test_no_bytes_are_an_exception(value):
    for body in (GenerationRequested, SampleGenerated, TrainingSamplePublished):
        assert isinstance(parse(message(value, topic=GENERATION_REQUESTS), body), body | Refused)
    assert isinstance(carried_image(value), CarriedImage | None)


#: Values of the fields that strangers like best.
nasty = st.sampled_from(
    [
        "../../../etc/passwd",
        "http://169.254.169.254/latest/meta-data/",
        '" or identity != "',
        "a\x00b",
        "\u202etac",
        "\ud800",
        "i" * 100_000,
        10**400,
        -(2**63) - 1,
        1e308,
        True,
        [[[[]]]],
        {"sha256": "../../etc/passwd", "size": 5},
        {"sha256": "0" * 64, "size": 2**63},
        {"sha256": ["0" * 64], "size": "5"},
        {"__proto__": 1},
    ]
)


@given(st.dictionaries(st.sampled_from([*SampleGenerated.model_fields]), nasty | json_values))
def test_no_field_of_a_sample_is_an_exception(fields):
    value = json.dumps(TRAINED | fields).encode()
    for body in (SampleGenerated, TrainingSamplePublished):
        assert isinstance(parse(message(value, topic=TRAINING_SAMPLES), body), body | Refused)
    assert isinstance(carried_image(value), CarriedImage | None)


@given(st.binary(max_size=60), st.integers(0, 200), st.integers(0, 200))
def test_no_message_that_was_altered_is_an_exception(new, begin, length):
    whole = json.dumps(TRAINED | {"image": POINTER}).encode()
    altered = whole[:begin] + new + whole[begin + length :]
    assert isinstance(
        parse(message(altered, topic=TRAINING_SAMPLES), TrainingSamplePublished), TrainingSamplePublished | Refused
    )


@given(st.lists(st.tuples(st.text(max_size=10) | st.sampled_from(["ce_type", UNREADABLE]), st.none() | st.binary())))
def test_no_header_is_an_exception(headers):
    read = parse(message(request(), headers=tuple(headers)), GenerationRequested)
    assert isinstance(read, GenerationRequested | Refused)


def test_a_record_that_stands_for_a_batch_which_nobody_can_read_is_refused_as_that():
    refused = parse(message(request(), headers=((UNREADABLE, b"too large"),)), GenerationRequested)

    assert refused == Refused(DeadReason.BATCH_UNREADABLE, "too large")


@pytest.mark.parametrize(("value", "exception"), [(b"x", "ValueError"), (b"{}", "ValidationError"), (b"", "")])
def test_a_refusal_names_the_exception_where_one_was_raised(value, exception):
    assert parse(message(value, topic=GENERATION_REQUESTS), GenerationRequested).exception == exception


@given(st.dictionaries(st.sampled_from([*GenerationRequested.model_fields]), json_values))
def test_no_field_is_an_exception(fields):
    assert isinstance(asked(**fields), GenerationRequested | Refused)


@pytest.mark.parametrize(
    ("text", "encoded"),
    [
        (base64.b64encode(b"picture").decode(), b"picture"),
        ("cGlj\ndHVyZQ==", b"picture"),  # wrapped, as in mail
        ("broken", b"broken"),
    ],
)
def test_an_image_in_a_message_that_is_no_sample_is_found_and_replaced_by_a_pointer(text, encoded):
    value = json.dumps({"inline_image": text, "rest": "stays", "image": "odd"}).encode()

    carried = carried_image(value)

    assert carried.encoded == encoded
    assert json.loads(carried.pointing_at(ImageRef(**POINTER))) == {"rest": "stays", "image": POINTER}


@pytest.mark.parametrize("value", [None, b"", b"[1]", b"{}", b'{"inline_image": 5}', b'{"inline_image": ""}'])
def test_where_no_image_is_carried_none_is_found(value):
    assert carried_image(value) is None
