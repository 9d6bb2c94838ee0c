"""Verdicts: the laws that hold for every measurement, and each limit with the values around it."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.consent import Consent
from streams.core.decide import decide, may_generate
from streams.core.gallery import Identity, Origin
from streams.core.measure import unmade
from streams.core.measurement import Measurement, NearOther
from streams.core.subject import Subject
from streams.events import ABSTENTIONS, Decision, ReasonCode
from streams.testing.services import policy
from tests.measured import others, similarities

POLICY = policy(similarity=0.6, other_similarity=0.5, margin=0.1, face_side=40, sharpness=20)
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

measurements = st.builds(
    GOOD.model_copy,
    update=st.fixed_dictionaries(
        {
            "references": st.integers(0, 3),
            "protected": st.booleans(),
            "faces": st.none() | st.integers(0, 3),
            "face_side": st.none() | st.floats(0, 200),
            "sharpness": st.none() | st.floats(0, 200),
            "similarity": st.none() | similarities,
            "others": others,
        }
    ),
)
consents = st.sampled_from(Consent)


def near(identity: str = "bert", similarity: float = 0.2, **fields: object) -> NearOther:
    return NearOther(identity=identity, similarity=similarity, **{"resembles_target": 0.1, "protected": False} | fields)


def codes(measurement: Measurement, consent: Consent = Consent.GRANTED) -> list[ReasonCode]:
    return [reason.code for reason in decide(measurement, POLICY, consent).reasons]


def but(**changes: object) -> Measurement:
    return GOOD.model_copy(update=changes)


def test_what_is_good_by_every_rule_is_accepted():
    judgement = decide(but(others=(near(),)), POLICY, Consent.GRANTED)

    assert (judgement.decision, judgement.reasons) == (Decision.ACCEPTED, ())


@given(measurements, consents)
def test_a_sample_is_accepted_exactly_when_there_is_no_reason_against_it(measurement, consent):
    judgement = decide(measurement, POLICY, consent)

    assert (judgement.decision is Decision.ACCEPTED) == (judgement.reasons == ())


@given(measurements, consents)
def test_accepted_means_shown_to_be_good(measurement, consent):
    """The rules once more, as what an accepted sample must have rather than what a flagged one has."""
    if decide(measurement, POLICY, consent).decision is Decision.FLAGGED:
        return
    assert consent is Consent.GRANTED
    assert not measurement.protected
    assert measurement.references > 0
    assert measurement.faces == 1
    assert measurement.face_side >= 40
    assert measurement.sharpness >= 20
    assert measurement.similarity >= 0.6
    for other in measurement.others:
        assert round(measurement.similarity - other.similarity, 4) >= 0.1
        assert other.similarity < 0.5 or (other.resembles_target is not None and other.resembles_target >= 0.5)


@given(measurements, consents, similarities)
def test_being_nearer_to_the_target_never_adds_a_reason(measurement, consent, similarity):
    if measurement.faces is None or measurement.similarity is None or similarity < measurement.similarity:
        return  # without an image nothing is near
    nearer = measurement.model_copy(update={"similarity": similarity})

    assert set(codes(nearer, consent)) <= set(codes(measurement, consent))


@given(measurements, consents, st.randoms(use_true_random=False))
def test_the_order_in_which_others_were_found_changes_nothing(measurement, consent, random):
    shuffled = list(measurement.others)
    random.shuffle(shuffled)

    again = decide(measurement.model_copy(update={"others": tuple(shuffled)}), POLICY, consent)

    assert again == decide(measurement, POLICY, consent)


@given(measurements)
def test_an_abstention_never_accepts(measurement):
    judgement = decide(measurement, POLICY, Consent.GRANTED)

    if measurement.faces != 1 or not measurement.references:
        assert judgement.decision is Decision.FLAGGED
    if measurement.faces not in (None, 1) or not measurement.references:
        assert {reason.code for reason in judgement.reasons} & (ABSTENTIONS | {ReasonCode.NO_CONSENT})


@pytest.mark.parametrize("field", ["similarity", "face_side", "sharpness", "others"])
def test_not_a_number_never_accepts(field):
    """Foreign code may build a measurement without validating it."""
    nobody = NearOther.model_construct(identity="dora", similarity=math.nan, resembles_target=None, protected=False)

    judgement = decide(but(**{field: (nobody,) if field == "others" else math.nan}), POLICY, Consent.GRANTED)

    assert judgement.decision is Decision.FLAGGED
    assert all(reason.measured is None or math.isfinite(reason.measured) for reason in judgement.reasons)


@given(measurements, consents)
def test_reasons_come_gravest_first_and_those_from_numbers_bring_them(measurement, consent):
    reasons = decide(measurement, POLICY, consent).reasons

    assert [r.code for r in reasons] == sorted((r.code for r in reasons), key=list(ReasonCode).index)
    for reason in reasons:
        assert reason.text
        if reason.code in {ReasonCode.LEAK, ReasonCode.MISMATCH, ReasonCode.AMBIGUOUS, ReasonCode.SEVERAL_FACES}:
            assert reason.measured is not None
            assert reason.limit is not None


@given(st.integers(0, 3), st.booleans(), consents, st.booleans())
def test_whatever_may_not_be_generated_is_flagged_without_an_image(references, protected, consent, enrolled):
    subject = Subject("s", "generation", "shop", 0, "anna", "face_gan")
    target = Identity("anna", Origin.PHOTO, None, references, 1.0, protected) if enrolled else None
    measurement = unmade(subject, target, space="space", gallery_version="v")

    judgement = decide(measurement, POLICY, consent)

    assert judgement.decision is Decision.FLAGGED
    if not may_generate(enrolled=enrolled, protected=protected, consent=consent):
        assert judgement.reasons[0].code in {ReasonCode.NO_CONSENT, ReasonCode.NO_REFERENCE}


@pytest.mark.parametrize(
    ("similarity", "expected"), [(0.6001, []), (0.6, []), (0.5999, [ReasonCode.MISMATCH]), (-1, [ReasonCode.MISMATCH])]
)
def test_a_sample_mismatches_below_the_limit(similarity, expected):
    assert codes(but(similarity=similarity)) == expected


@pytest.mark.parametrize(
    ("other", "expected"),
    [
        (0.4999, []),
        (0.5, [ReasonCode.LEAK]),
        (0.5001, [ReasonCode.LEAK]),
    ],
)
def test_an_enrolled_stranger_leaks_from_the_limit_upwards(other, expected):
    assert codes(but(others=(near(similarity=other),))) == expected


@pytest.mark.parametrize(
    ("similarity", "other", "expected"),
    [
        (0.6001, 0.5, []),  # margin 0.1001
        (0.6, 0.5, []),  # margin 0.1: in floating point 0.09999999999999998
        (0.6, 0.5001, [ReasonCode.AMBIGUOUS]),  # margin 0.0999
    ],
)
def test_a_sample_is_ambiguous_below_the_margin(similarity, other, expected):
    look_alike = near(similarity=other, resembles_target=0.8)

    assert codes(but(similarity=similarity, others=(look_alike,))) == expected


@pytest.mark.parametrize(("side", "expected"), [(40.1, []), (40, []), (39.9, [ReasonCode.LOW_QUALITY])])
def test_a_face_below_the_least_size_abstains(side, expected):
    assert codes(but(face_side=side)) == expected


@pytest.mark.parametrize(("sharpness", "expected"), [(20.1, []), (20, []), (19.9, [ReasonCode.LOW_QUALITY])])
def test_a_face_below_the_least_sharpness_abstains(sharpness, expected):
    assert codes(but(sharpness=sharpness)) == expected


@pytest.mark.parametrize(
    ("faces", "expected"),
    [(0, ReasonCode.NO_FACE), (1, None), (2, ReasonCode.SEVERAL_FACES), (9, ReasonCode.SEVERAL_FACES)],
)
def test_exactly_one_face_is_expected(faces, expected):
    assert codes(but(faces=faces)) == ([expected] if expected else [])


@pytest.mark.parametrize(
    ("resembles_target", "protected", "leaks"),
    [
        (0.5, False, False),  # look-alikes from the limit upwards
        (0.4999, False, True),
        (None, False, True),  # the target is not enrolled: nobody looks like it
        (0.9, True, True),  # a protected person is never excused
    ],
)
def test_enrolled_look_alikes_are_told_apart_by_the_margin_unless_protected(resembles_target, protected, leaks):
    other = near(similarity=0.7, resembles_target=resembles_target, protected=protected)

    assert (ReasonCode.LEAK in codes(but(others=(other,)))) is leaks


def test_everybody_who_leaks_is_named_with_the_similarity():
    found = (near("carl", 0.55), near("bert", 0.7), near("dora", 0.1))

    leaks = decide(but(others=found), POLICY, Consent.GRANTED).reasons

    assert [(reason.measured, reason.limit) for reason in leaks] == [(0.7, 0.5), (0.55, 0.5)]
    assert "bert" in leaks[0].text
    assert "carl" in leaks[1].text


def test_a_sample_that_fails_every_rule_is_told_so():
    bad = but(faces=3, face_side=10, sharpness=1, similarity=0.3, others=(near(similarity=0.7),))

    assert codes(bad, Consent.WITHDRAWN) == [
        ReasonCode.NO_CONSENT,
        ReasonCode.LEAK,
        ReasonCode.SEVERAL_FACES,
        ReasonCode.LOW_QUALITY,
        ReasonCode.LOW_QUALITY,
        ReasonCode.MISMATCH,
        ReasonCode.AMBIGUOUS,
    ]


def test_a_sample_nearer_to_somebody_else_is_told_to_whom():
    other = near(similarity=0.8, resembles_target=0.9)

    [reason] = decide(but(similarity=0.7, others=(other,)), POLICY, Consent.GRANTED).reasons

    assert (reason.code, reason.measured) == (ReasonCode.AMBIGUOUS, -0.1)
    assert reason.text == "0.1000 nearer to bert than to anna"


@pytest.mark.parametrize("consent", [Consent.MISSING, Consent.WITHDRAWN, Consent.EXPIRED])
def test_without_consent_even_a_perfect_sample_is_flagged(consent):
    assert codes(GOOD, consent) == [ReasonCode.NO_CONSENT]


def test_a_protected_person_is_flagged_whatever_the_register_says():
    assert codes(but(protected=True), Consent.GRANTED) == [ReasonCode.NO_CONSENT]


def test_somebody_nobody_ever_enrolled_has_no_reference_rather_than_no_consent():
    assert codes(but(references=0, similarity=None), Consent.MISSING) == [ReasonCode.NO_REFERENCE]
    assert codes(but(references=0, similarity=None), Consent.WITHDRAWN)[0] is ReasonCode.NO_CONSENT


def test_a_face_that_could_not_be_measured_abstains():
    assert codes(but(similarity=None)) == [ReasonCode.LOW_QUALITY]
    assert codes(but(face_side=None, sharpness=None)) == [ReasonCode.LOW_QUALITY]


def test_the_policy_is_all_that_the_limits_come_from():
    assert decide(GOOD, POLICY, Consent.GRANTED).decision is Decision.ACCEPTED
    assert decide(GOOD, policy(similarity=0.95), Consent.GRANTED).decision is Decision.FLAGGED
