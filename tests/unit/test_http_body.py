"""What the body of an HTTP call may be; by the same rules as on the topic."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.receipts import REQUESTS_AT_ONCE
from streams.events import to_json
from streams.runtime.http_body import CONTENT_TYPES, LINES, Asked, Wrong, read
from streams.testing.messages import request

JSON = "application/json"
ONE = to_json(request())


def several(count: int) -> list[bytes]:
    return [to_json(request(request_id=f"r-{number}")) for number in range(count)]


def test_one_object_is_one_request_that_is_answered_alone():
    assert read(ONE, JSON) == Asked((request(),), alone=True)


def test_an_array_and_lines_are_several_requests_even_where_there_is_one():
    wanted = tuple(request(request_id=f"r-{number}") for number in range(3))

    assert read(b"[" + b",".join(several(3)) + b"]", JSON) == Asked(wanted, alone=False)
    for kind in LINES:
        assert read(b"\n\n".join(several(3)) + b"\r\n \n", kind) == Asked(wanted, alone=False)
    assert read(b"[" + ONE + b"]", JSON) == read(ONE, LINES[0]) == Asked((request(),), alone=False)


def test_an_unknown_field_is_left_alone_as_on_the_topic():
    assert read(json.dumps(json.loads(ONE) | {"colour": "blue"}).encode(), JSON) == Asked((request(),), alone=True)


@pytest.mark.parametrize(
    ("body", "kind", "status", "words"),
    [
        (b"", JSON, 400, "expected JSON in UTF-8, got"),
        (b"{", JSON, 400, "expected JSON in UTF-8, got"),
        (b"\xff", JSON, 400, "expected JSON in UTF-8, got"),
        (b"\xef\xbb\xbf" + ONE, JSON, 400, "expected JSON in UTF-8, got"),
        (b"NaN", JSON, 400, "expected JSON in UTF-8, got"),
        (b"[" * 100_000, JSON, 400, "expected JSON in UTF-8, got"),
        (ONE + b"\n{", LINES[0], 400, "request 2: the value is not JSON"),
        (b"[]", JSON, 422, "got 0"),
        (b"\n \n", LINES[0], 422, "got 0"),
        (b"7", JSON, 422, "expected a JSON object"),
        (b"null", JSON, 422, "expected a JSON object"),
        (b"[[]]", JSON, 422, "request 1: expected a JSON object"),
        (b"{}", JSON, 422, "source: Field required"),
        (b"[" + ONE + b", {}]", JSON, 422, "request 2: source: Field required"),
        (b'{"version": 2}', JSON, 422, "expected version 1"),
        (json.dumps(json.loads(ONE) | {"count": 65}).encode(), JSON, 422, "less than or equal to 64"),
        (json.dumps(json.loads(ONE) | {"seed": 2**80}).encode(), JSON, 422, "seed"),
    ],
)
def test_what_is_no_request_is_refused_with_what_was_expected(body: bytes, kind: str, status: int, words: str):
    refused = read(body, kind)

    assert isinstance(refused, Wrong)
    assert refused.status == status
    assert words in refused.text


def test_one_call_takes_so_many_requests_and_no_more():
    assert isinstance(read(b"\n".join(several(REQUESTS_AT_ONCE)), LINES[0]), Asked)

    refused = read(b"\n".join(several(REQUESTS_AT_ONCE + 1)), LINES[0])

    assert isinstance(refused, Wrong)
    assert (refused.status, f"1 to {REQUESTS_AT_ONCE}" in refused.text) == (413, True)


def test_of_many_faults_the_first_are_told():
    refused = read(b"[" + b",".join([b"{}"] * REQUESTS_AT_ONCE) + b"]", JSON)

    assert isinstance(refused, Wrong)
    assert "request 20: " in refused.text
    assert "request 21: " not in refused.text
    assert f"and {REQUESTS_AT_ONCE - 20} more" in refused.text


def test_what_is_refused_is_not_repeated():
    refused = read(json.dumps(json.loads(ONE) | {"identity": "a secret name!"}).encode(), JSON)

    assert isinstance(refused, Wrong)
    assert "secret" not in refused.text


JSONS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=10), inner, max_size=5),
)
#: Requests with some of their fields replaced, or gone.
NEARLY = st.builds(
    lambda fields, gone: {name: value for name, value in fields.items() if name not in gone},
    st.fixed_dictionaries(
        {name: JSONS | st.just(value) for name, value in json.loads(to_json(request(count=2, strength=0.5))).items()}
    ),
    st.sets(st.sampled_from(["source", "request_id", "identity", "seed", "version"]), max_size=1),
)


@given(
    body=st.binary(max_size=200)
    | (JSONS | NEARLY | st.lists(NEARLY, max_size=3)).map(lambda one: json.dumps(one).encode()),
    kind=st.sampled_from(CONTENT_TYPES),
)
def test_whatever_comes_is_requests_or_is_refused_in_words(body: bytes, kind: str):
    found = read(body, kind)

    if isinstance(found, Wrong):
        assert found.status in (400, 413, 422)
        assert found.text
    else:
        assert found.requests
