"""Copies: which original is nearest, what is said of it at each limit, and that no rough embedding touches it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.core import policy as policies
from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.imprints import TOLD, nearest
from streams.core.measurement import Measurement, NearOther
from streams.core.policy import Limits
from streams.core.settled import settled
from streams.errors import BadInput
from streams.events import Decision, NearOriginal, ReasonCode
from streams.testing.services import policy
from tests.unit.test_policy import TEXT

POLICY = policy(copy_bits=31, near_copy_bits=60, copy_similarity=0.75, near_copy_similarity=0.5)
GOOD = Measurement(
    sample_id="s",
    identity="anna",
    embedding_space="space",
    gallery_version="v",
    references=3,
    faces=1,
    face_side=80,
    sharpness=50,
    similarity=0.9,
)


def original(name: str = "one", **fields: object) -> NearOriginal:
    known = {"kind": "training", "identity": "", "image_sha256": "ab" * 32}
    return NearOriginal(original_id=name, **known | ({} if "similarity" in fields else {"bits": 0}) | fields)


def judged(*originals: NearOriginal, consent: Consent = Consent.GRANTED, **fields: object) -> list[tuple[str, str]]:
    measurement = GOOD.model_copy(update={"originals": originals} | fields)
    return [(reason.code, reason.text) for reason in decide(measurement, POLICY, consent).reasons]


def codes(*originals: NearOriginal) -> list[str]:
    return [code for code, _ in judged(*originals)]


@pytest.mark.parametrize(
    ("bits", "expected"),
    [(0, ["copy"]), (31, ["copy"]), (32, ["near-copy"]), (60, ["near-copy"]), (61, []), (256, [])],
)
def test_a_picture_is_a_copy_up_to_a_number_of_bits_and_nearly_one_up_to_another(bits: int, expected: list[str]):
    assert codes(original(bits=bits)) == expected


@pytest.mark.parametrize(
    ("similarity", "expected"),
    [(1.0, ["copy"]), (0.75, ["copy"]), (0.7499, ["near-copy"]), (0.5, ["near-copy"]), (0.4999, []), (-1.0, [])],
)
def test_where_a_network_makes_the_imprints_similarity_is_the_measure(similarity: float, expected: list[str]):
    assert codes(original(similarity=similarity)) == expected


def test_the_reason_names_the_original_how_near_it_is_and_the_limit():
    photo = original("ref-7", kind="photo", identity="bert", bits=12, mirrored=True)

    assert judged(photo) == [("copy", "is a copy of reference ref-7 of bert, mirrored: 12 bits differ, limit 31")]
    assert judged(original(similarity=0.6)) == [
        ("near-copy", "is nearly a copy of training image one: similarity 0.6000, limit 0.5")
    ]
    [reason] = decide(GOOD.model_copy(update={"originals": (photo,)}), POLICY, Consent.GRANTED).reasons
    assert (reason.measured, reason.limit) == (12, 31)


def test_only_the_nearest_original_is_named():
    [(code, text)] = judged(original("far", bits=40), original("near", bits=3), original("next", bits=4))

    assert code == "copy"
    assert "training image near:" in text


def test_a_copy_is_graver_than_all_but_a_missing_consent():
    bert = NearOther(identity="bert", similarity=0.9, resembles_target=0.1)
    found = judged(original(bits=1), consent=Consent.WITHDRAWN, others=(bert,), similarity=0.1)

    assert [code for code, _ in found] == ["no-consent", "copy", "leak", "mismatch", "ambiguous"]


def test_a_copy_of_a_perfect_likeness_is_flagged():
    assert decide(GOOD, POLICY, Consent.GRANTED).decision is Decision.ACCEPTED
    measurement = GOOD.model_copy(update={"originals": (original(),)})
    assert decide(measurement, POLICY, Consent.GRANTED).decision is Decision.FLAGGED


def test_a_similarity_that_is_no_number_is_a_copy():
    """Foreign code may build a measurement without validating it: what is not shown to be far is near."""
    fields = {**original(similarity=0.1).model_dump(), "similarity": float("nan")}

    assert codes(NearOriginal.model_construct(**fields)) == ["copy"]


@given(st.integers(0, 256), st.integers(0, 256))
def test_being_nearer_to_an_original_never_takes_a_reason_away(one: int, other: int):
    gravity = {(): 0, ("near-copy",): 1, ("copy",): 2}
    near, far = (gravity[tuple(codes(original(bits=bits)))] for bits in sorted((one, other)))

    assert near >= far


@given(st.integers(0, 80), st.integers(-100, 100), st.integers(-100, 100), st.sampled_from([0.01, 0.1]))
def test_a_rough_look_settles_as_much_beside_a_copy_as_without_one(bits: int, target: int, other: int, error: float):
    """The hash is of pixels and not of the embedding, so that no error of the embedding moves it."""
    bert = NearOther(identity="bert", similarity=other / 100, resembles_target=0.1)
    plain = GOOD.model_copy(update={"similarity": target / 100, "others": (bert,)})
    beside = plain.model_copy(update={"originals": (original(bits=bits),)})

    if settled(plain, POLICY, Consent.GRANTED, error=error):
        assert settled(beside, POLICY, Consent.GRANTED, error=error)
    if settled(beside, POLICY, Consent.GRANTED, error=error):
        for moved in (-error, error):
            truth = beside.model_copy(update={"similarity": max(-1.0, min(1.0, target / 100 + moved))})
            said, in_truth = (decide(each, POLICY, Consent.GRANTED).reasons for each in (beside, truth))
            assert [reason.code for reason in said] == [reason.code for reason in in_truth]


near_ones = st.lists(
    st.builds(original, st.sampled_from(["a", "b", "c", "d", "e"]), bits=st.integers(0, 3), mirrored=st.booleans())
)


@given(near_ones, st.randoms(use_true_random=False))
def test_the_nearest_are_told_once_each_whatever_the_order_they_are_found_in(found, random):
    told = nearest(found)
    shuffled = list(found)
    random.shuffle(shuffled)

    assert nearest(shuffled) == told
    assert len(told) == min(TOLD, len({one.original_id for one in found}))
    for one in told:
        assert one.bits == min(other.bits for other in found if other.original_id == one.original_id)
    assert [one.bits for one in told] == sorted(one.bits for one in told)


def test_a_near_original_has_one_measure():
    for fields in ({"bits": None, "similarity": None}, {"bits": 1, "similarity": 0.5}):
        with pytest.raises(ValidationError, match="exactly one of bits and similarity"):
            original(**fields)


def test_a_policy_from_before_copies_has_the_limits_that_are_usual():
    limits = policies.parse(TEXT, "made-up.toml").limits

    assert (limits.copy_bits, limits.near_copy_bits) == (31, 60)
    assert (limits.copy_similarity, limits.near_copy_similarity) == (0.75, 0.5)


@pytest.mark.parametrize(
    "wrong", ["copy_bits = 61", "near_copy_bits = 30", "copy_similarity = 0.4", "copy_bits = 3.5", "copy_bits = -1"]
)
def test_limits_of_copies_that_contradict_each_other_are_refused(wrong: str):
    with pytest.raises(BadInput, match=r"made-up\.toml is not a policy: limits"):
        policies.parse(f"{TEXT}\n{wrong}\n", "made-up.toml")


def test_the_order_of_gravity_is_that_of_the_list():
    assert list(ReasonCode)[:4] == [ReasonCode.NO_CONSENT, ReasonCode.COPY, ReasonCode.NEAR_COPY, ReasonCode.LEAK]
    assert Limits.model_fields["copy_bits"].default < Limits.model_fields["near_copy_bits"].default
