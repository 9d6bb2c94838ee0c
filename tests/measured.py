"""Measurements that hypothesis draws: every combination of what limits are compared with, and of what is missing."""

from hypothesis import strategies as st

from streams.core.measurement import Measurement, NearOther
from streams.core.policy import Limits
from streams.events import NearOriginal

similarities = st.integers(-10_000, 10_000).map(lambda value: value / 10_000)
others = st.lists(
    st.builds(
        NearOther,
        identity=st.sampled_from(["bert", "carl", "dora", "emil"]),
        similarity=similarities,
        resembles_target=st.none() | similarities,
        protected=st.booleans(),
    ),
    max_size=4,
    unique_by=lambda other: other.identity,
).map(tuple)


def _original(number: int, bits: int | None, similarity: float | None) -> NearOriginal:
    shown = {"bits": bits} if similarity is None else {"similarity": similarity}
    return NearOriginal(original_id=f"o-{number}", kind="photo", identity="anna", image_sha256="0" * 64, **shown)


originals = st.lists(
    st.builds(_original, st.integers(0, 9), st.integers(0, 256), st.none() | similarities), max_size=3
).map(tuple)

measurements = st.builds(
    Measurement,
    sample_id=st.just("s"),
    identity=st.just("anna"),
    embedding_space=st.just("space"),
    gallery_version=st.just("v"),
    references=st.integers(0, 3),
    protected=st.booleans(),
    faces=st.none() | st.integers(0, 3),
    face_side=st.none() | st.floats(0, 200),
    sharpness=st.none() | st.floats(0, 200),
    similarity=st.none() | similarities,
    others=others,
    originals=originals,
)

#: Limits among the same few numbers that measurements have, so that they meet often.
limits = st.builds(
    lambda similarity, other, margin, side, sharpness, bits, copies: Limits(
        similarity=similarity,
        other_similarity=other,
        margin=margin,
        face_side=side,
        sharpness=sharpness,
        copy_bits=min(bits),
        near_copy_bits=max(bits),
        copy_similarity=max(copies),
        near_copy_similarity=min(copies),
    ),
    similarities,
    similarities,
    st.integers(0, 20_000).map(lambda value: value / 10_000),
    st.floats(0, 200),
    st.floats(0, 200),
    st.tuples(st.integers(0, 256), st.integers(0, 256)),
    st.tuples(similarities, similarities),
)
