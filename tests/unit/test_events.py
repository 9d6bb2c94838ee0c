"""Bodies and their headers, as other programs meet them."""

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.schemas import BODIES
from streams.events import (
    TYPES,
    GenerationRequested,
    ImageRef,
    SampleGenerated,
    TrainingSamplePublished,
    cloud_event,
    to_json,
    trace_of,
)
from streams.testing.messages import request

NAMES = st.text("abz019._:/@+-", min_size=1, max_size=10).map(lambda text: "a" + text)
POINTERS = st.builds(ImageRef, sha256=st.text("0123456789abcdef", min_size=64, max_size=64), size=st.integers(1, 99))
REQUESTS = st.builds(
    GenerationRequested,
    source=NAMES,
    request_id=NAMES,
    identity=NAMES,
    model=NAMES,
    seed=st.integers(0, 2**62),
    strength=st.floats(0, 1),
    count=st.integers(1, 64),
)
SAMPLES = st.builds(
    SampleGenerated,
    sample_id=st.text("0123456789abcdef", min_size=32, max_size=32),
    source=NAMES,
    request_id=NAMES,
    index=st.integers(0, 63),
    identity=NAMES,
    model=NAMES,
    model_version=NAMES,
    seed=st.integers(0, 2**63 - 1),
    strength=st.floats(0, 1),
    image=POINTERS,
    inline_image=st.none(),
)
TRAINING = st.builds(
    TrainingSamplePublished,
    run_id=NAMES,
    step=st.integers(0, 2**62),
    index=st.integers(0, 2**62),
    identity=NAMES,
    model=NAMES,
    image=POINTERS,
    inline_image=st.none(),
)


@given(REQUESTS | SAMPLES | TRAINING)
def test_a_body_is_read_back_as_it_was_written(body):
    assert type(body).model_validate_json(to_json(body)) == body


@given(REQUESTS | SAMPLES | TRAINING)
def test_the_same_body_is_always_the_same_bytes(body):
    assert to_json(type(body).model_validate(body.model_dump())) == to_json(body)


def test_nothing_that_is_absent_travels():
    body = TrainingSamplePublished(
        run_id="r", step=0, index=0, identity="anna", model="gan", image=ImageRef(sha256="0" * 64, size=1)
    )

    assert "inline_image" not in json.loads(to_json(body))


def test_headers_are_those_of_a_cloud_event_in_binary_mode():
    time = datetime(2030, 1, 1, tzinfo=UTC)

    headers = cloud_event(request(), id="r-1", source="/shop", time=time, trace=(("traceparent", b"00-ab"),))

    assert headers == (
        ("ce_specversion", b"1.0"),
        ("ce_id", b"r-1"),
        ("ce_source", b"/shop"),
        ("ce_type", b"dev.likeness.generation.requested.v1"),
        ("ce_time", b"2030-01-01T00:00:00+00:00"),
        ("content-type", b"application/json"),
        ("traceparent", b"00-ab"),
    )


def test_only_the_trace_is_handed_on_and_in_order():
    headers = (("ce_id", b"1"), ("tracestate", b"a=1"), ("traceparent", b"00-ab"), ("cookie", b"x"))

    assert trace_of(headers) == (("tracestate", b"a=1"), ("traceparent", b"00-ab"))


def test_every_body_has_a_type_of_its_own_and_a_topic():
    assert set(BODIES.values()) == set(TYPES)
    assert len(set(TYPES.values())) == len(TYPES)


def test_a_body_cannot_be_changed():
    with pytest.raises(ValueError, match="frozen"):
        request().seed = 8
