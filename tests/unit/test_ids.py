"""Names that are derived: the same for ever, and never the same for two things."""

import hashlib
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.ids import generated_sample_id, message_id, training_sample_id
from streams.core.records import Message

HELLO = Message("training.samples", 1, 42, None, b"hello", ())

names = st.text("ab1._:/@+-", min_size=1, max_size=8)


@pytest.mark.parametrize(
    ("derived", "text"),
    [
        (generated_sample_id("shop", "r-1", 3), b'["generation","shop","r-1",3]'),
        (training_sample_id("run", 100, 3), b'["training","run",100,3]'),
        (
            message_id(HELLO),
            b'["message","training.samples",1,42,"2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824"]',
        ),
    ],
)
def test_an_id_is_the_start_of_the_sha256_of_its_parts_as_compact_json(derived, text):
    assert derived == hashlib.sha256(text).hexdigest()[:32]


@given(st.sets(st.tuples(names, names, st.integers(0, 63)), min_size=2))
def test_different_samples_have_different_ids(parts):
    """Names may hold every separator that one could think of: parts must not run into each other."""
    assert len({generated_sample_id(*part) for part in parts}) == len(parts)


def test_the_two_roads_and_plain_messages_never_share_an_id():
    ids = {
        generated_sample_id("a", "1", 2),
        training_sample_id("a", 1, 2),
        message_id(replace(HELLO, topic="a", offset=2)),
    }

    assert len(ids) == 3
