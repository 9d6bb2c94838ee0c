"""Forgetting, as values: what a row becomes, and how what should be gone is found."""

import json
from datetime import UTC, datetime

import numpy as np
import pytest

from streams.core.erasure import (
    Inventory,
    Needle,
    Receipt,
    Search,
    emptied,
    emptied_payload,
    envelope_digest,
    name_hash,
    names,
    renamed,
    renamed_request,
    value_digest,
    words_with,
)
from streams.core.ledger import asked_for
from streams.events import (
    Decision,
    Explanation,
    ImageRef,
    NearOriginal,
    NearReference,
    Reason,
    ReasonCode,
    SampleJudged,
    SecondOpinion,
    to_json,
)
from streams.testing.messages import request
from streams.tools.audit.records import digest, envelope

VECTOR = np.linspace(-1, 1, 128, dtype=np.float32)
RAW = VECTOR.astype("<f4").tobytes()


@pytest.mark.parametrize(
    ("content", "after"),
    [
        (b'{"identity":"anna"}', b'{"identity":"x"}'),
        (b"resembles anna, not asked for", b"resembles x, not asked for"),
        (b"nobody is enrolled as anna.", b"nobody is enrolled as x."),
        (b"anna: gone", b"x: gone"),
        (b'"annabelle" "joanna" "anna-2" "lab/anna" "anna:2" "anna.b"', None),
        (b"Anna ANNA", None),
    ],
)
def test_a_name_is_replaced_where_it_is_a_word_of_its_own(content, after):
    assert renamed(content, "anna", "x") == (content if after is None else after)
    assert names(content, "anna") is (after is not None)


def test_a_name_with_signs_is_no_pattern():
    assert renamed(b'"a+b.c" "aab.c"', "a+b.c", "x") == b'"x" "aab.c"'


def test_a_request_that_is_renamed_in_the_ledger_is_the_one_that_is_renamed_on_arrival():
    asked = request(identity="anna", source="anna", request_id="anna", strength=0.00001, territory="DE")

    assert renamed_request(asked_for(asked), "anna", "forgotten-1") == asked_for(
        asked.model_copy(update={"identity": "forgotten-1"})
    )


def test_of_a_verdict_stays_that_there_was_one_and_nothing_that_was_seen_of_anybody():
    judged = SampleJudged(
        sample_id="0" * 32,
        kind="generation",
        source="shop",
        index=0,
        identity="anna",
        model="face_gan",
        image=ImageRef(sha256="1" * 64, size=9),
        decision=Decision.FLAGGED,
        reasons=(Reason(code=ReasonCode.MISMATCH, text="similarity 0.4 to anna", measured=0.4, limit=0.5),),
        similarity=0.4,
        normalised_similarity=2.0,
        margin=0.1,
        second=SecondOpinion(embedding_space="second/1", similarity=0.9, references=3),
        nearest=(NearReference(reference_id="ref-1", identity="anna", similarity=0.4),),
        originals=(NearOriginal(original_id="o-1", kind="photo", identity="anna", image_sha256="2" * 64, bits=70),),
        originals_searched=5,
        copy_descriptor="phash/1",
        precision="int8",
        similarity_error=0.01,
        faces=1,
        face_box=(1.0, 2.0, 3.0, 4.0),
        explanations=(Explanation(name="mouth", text="mouth differs", z=3.1, noise=0.1, references=8),),
        limits={"similarity": 0.5},
        false_match_rate=0.1,
        log_likelihood_ratio=1.0,
        p_value=0.05,
        policy_version="p@1",
        judged_at=datetime(2030, 1, 1, tzinfo=UTC),
        timings_ms={"examine": 1.0},
    )

    left = json.loads(emptied(to_json(judged), "forgotten-1"))

    said = {"identity": "forgotten-1", "reasons": [{"code": "mismatch", "text": "erased"}], "nearest": []}
    same = "version sample_id kind source index model decision limits policy_version judged_at"
    before = json.loads(to_json(judged))
    empty = {"originals": [], "timings_ms": {}}  # what a verdict always has
    assert left == said | {name: before[name] for name in same.split()} | empty
    assert emptied(b"no verdict", "forgotten-1") is None


def test_a_payload_that_points_at_an_image_is_emptied_and_a_request_is_not():
    assert emptied_payload(b'{"image":{"sha256":"00","size":1}}') == b""
    assert emptied_payload(b'{"identity":"x"}') == b'{"identity":"x"}'


def test_the_audit_reckons_digests_in_the_same_way():
    headers = (("odd", None), ("ce_id", b"1"))
    for value in (None, b"", b"verdict"):
        assert value_digest(value) == digest(value)
        assert envelope_digest(value, headers) == envelope(value, headers)


def test_a_hash_of_a_name_needs_the_key():
    assert name_hash(b"one", "anna") == name_hash(b"one", "anna")
    assert len({name_hash(b"one", "anna"), name_hash(b"two", "anna"), name_hash(b"one", "bert")}) == 3


@pytest.mark.parametrize("before", range(9))
def test_a_vector_is_found_wherever_it_begins(before: int):
    search = Search("nobody-here", Inventory(vectors=frozenset({Needle.of(VECTOR)})))

    assert list(search.in_bytes(b"." * before + RAW)) == ["vector"]
    assert list(search.in_bytes(b"." * before + RAW + b"-" + RAW)) == ["vector", "vector"]
    assert list(search.in_bytes(b"." * before + RAW[:-1])) == []  # its beginning alone shows nobody


def test_a_needle_holds_no_more_of_a_vector_than_two_of_its_numbers():
    needle = Needle.of(VECTOR)

    assert bytes.fromhex(needle.head) == RAW[:8]
    assert Inventory.from_text(Inventory(vectors=frozenset({needle})).to_text()).vectors == {needle}
    assert RAW[8:16].hex() not in Inventory(vectors=frozenset({needle})).to_text()


def test_an_image_is_found_by_its_content():
    import hashlib

    search = Search("nobody-here", Inventory(images=frozenset({hashlib.sha256(b"picture").hexdigest()})))

    assert list(search.in_bytes(b"picture")) == ["image"]
    assert list(search.in_bytes(b"another")) == []


def test_a_name_is_found_in_any_bytes_but_in_longer_words_that_are_known():
    search = Search("anna", Inventory(), explained=["annabelle", "joanna-1"])

    assert list(search.in_bytes(b"\x00annaface_gan\x00")) == ["name"]
    assert list(search.in_bytes(b"annabelle joanna-1")) == []
    assert list(search.in_bytes(b"annabella")) == ["name"]


def test_a_name_of_a_few_letters_is_found_as_a_word():
    assert list(Search("bo", Inventory()).in_bytes(b"about bo")) == ["name"]


def test_longer_words_are_told_whole():
    assert words_with(b'"anna" annabelle order/anna-7', "anna") == {"annabelle", "order/anna-7"}


def test_what_was_found_again_after_a_break_is_not_counted_twice():
    first, again = Inventory(counts={"images": 5, "samples": 3}), Inventory(counts={"images": 2})

    assert (first | again).counts == {"images": 5, "samples": 3}


def test_a_receipt_is_complete_when_all_is_done_and_nothing_was_found():
    fields = {"receipt": "1", "identity": "a", "called": "f", "began_at": "", "found": {}, "deleted": {}, "remains": ()}

    assert Receipt(**fields, finished_at="now", left=None).complete
    assert Receipt(**fields, finished_at="now", left={}).complete
    assert not Receipt(**fields, finished_at=None, left={}).complete
    assert not Receipt(**fields, finished_at="now", left={"name in a file": 1}).complete
