"""A policy that compares normalised scores is decided by them, with its own cohort of strangers, or not at all."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from streams.core.biometrics.cohort import Cohort, normalised, usual
from streams.core.consent import Consent
from streams.core.decide import decide
from streams.core.gallery import Origin
from streams.core.measurement import Measurement
from streams.core.policy import Normalisation, Policy, parse, refuse_elsewhere
from streams.core.similarity import similarity, unit
from streams.core.subject import Subject
from streams.errors import BadInput, PolicyRefused
from streams.events import ABSTENTIONS, Decision, ReasonCode
from streams.ports import Services
from streams.steps.appraise import Appraised, appraise
from streams.testing.examiner import STUB_SPACE, StubExaminer
from streams.testing.images import picture, png
from streams.testing.services import policy
from streams.tools.rates.calibrate import Findings, Targets, calibrate
from streams.tools.rates.cohort_file import digest, read_cohort, write_cohort
from streams.tools.rates.evaluate import evaluate_identities
from streams.tools.rates.evidence import of_identities
from streams.tools.rates.policy_file import policy_text
from streams.tools.rates.reports import calibration_html
from tests.seen_faces import SPACE, people

NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
ANNA = [1.0, 0, 0, 0, 0, 0, 0, 0]
STRANGERS = np.stack([unit(row) for row in np.random.default_rng(1).normal(size=(40, 8)).astype(np.float32)])
COHORT = Cohort(digest(STRANGERS), STRANGERS.astype(np.float64), 20)
BY = Normalisation(cohort=COHORT.sha256, strangers=40, top=20, limit=2.5, provenance="chosen for a test")


def by_s_norm(limit: float = 2.5) -> Policy:
    plain = policy()
    holds = plain.holds_for.model_copy(update={"comparator": "centroid/s-norm"})
    return plain.model_copy(update={"holds_for": holds, "normalisation": BY.model_copy(update={"limit": limit})})


POLICY = by_s_norm()
GOOD = Measurement(
    sample_id="s",
    identity="anna",
    embedding_space=STUB_SPACE.fingerprint,
    gallery_version="v",
    references=3,
    faces=1,
    face_side=80,
    sharpness=50,
    similarity=0.9,
    normalised=3.0,
    cohort=BY.cohort,
)
vectors = st.integers(0, 2**32 - 1).map(
    lambda seed: unit(np.random.default_rng(seed).normal(size=8).astype(np.float32))
)
scores = st.integers(-200_000, 200_000).map(lambda value: value / 10_000)


def but(**changes: object) -> Measurement:
    return GOOD.model_copy(update=changes)


@pytest.mark.parametrize(
    ("measurement", "expected"),
    [
        (but(normalised=2.5001), []),
        (but(normalised=2.5), []),
        (but(normalised=2.4999), [ReasonCode.MISMATCH]),
        (but(normalised=float("nan")), [ReasonCode.MISMATCH]),
        (but(normalised=None), [ReasonCode.MISMATCH]),
        (but(cohort=None), [ReasonCode.MISMATCH]),
        (but(cohort="0" * 64), [ReasonCode.MISMATCH]),
        (but(similarity=0.1), []),  # the plain cosine does not decide
        (but(similarity=None, normalised=None), [ReasonCode.LOW_QUALITY]),
    ],
)
def test_the_normalised_score_decides_and_only_by_the_cohort_of_the_policy(measurement, expected):
    assert [reason.code for reason in decide(measurement, POLICY, Consent.GRANTED).reasons] == expected


@given(scores, scores)
def test_a_higher_score_never_adds_a_reason(one, other):
    low, high = (
        {reason.code for reason in decide(but(normalised=score), POLICY, Consent.GRANTED).reasons}
        for score in sorted((one, other))
    )
    assert high <= low


@given(scores, st.integers(0, 3), st.integers(0, 3), st.none() | st.floats(0, 200))
def test_an_abstention_never_accepts(score, faces, references, sharpness):
    measurement = but(normalised=score, faces=faces, references=references, sharpness=sharpness)
    judgement = decide(measurement, POLICY, Consent.GRANTED)
    if ABSTENTIONS & {reason.code for reason in judgement.reasons}:
        assert judgement.decision is Decision.FLAGGED
    if judgement.decision is Decision.ACCEPTED:
        assert (faces, score >= 2.5) == (1, True)


@given(vectors, vectors)
def test_the_score_is_the_same_either_way_round_and_that_of_the_definition(one, other):
    score = COHORT.score(one, other)
    assert score is not None
    assert score == pytest.approx(COHORT.score(other, one), abs=2e-4)
    sides = [usual(vector[np.newaxis].astype(np.float64) @ COHORT.vectors.T, 20) for vector in (one, other)]
    assert score == pytest.approx(float(normalised(np.array([similarity(one, other)]), *sides)[0]), abs=1e-4)


@given(vectors, vectors, st.randoms(use_true_random=False))
def test_the_order_of_the_strangers_changes_nothing(one, other, random):
    order = list(range(len(STRANGERS)))
    random.shuffle(order)
    shuffled = replace(COHORT, vectors=COHORT.vectors[order])
    assert shuffled.score(one, other) == pytest.approx(COHORT.score(one, other), abs=2e-4)


def test_strangers_that_are_all_the_same_say_nothing_of_what_is_usual():
    same = replace(COHORT, vectors=np.tile(COHORT.vectors[0], (5, 1)))
    assert same.score(STRANGERS[1], STRANGERS[2]) is None


async def judged(services: Services, limit: float) -> Appraised:
    services = replace(services, policy=by_s_norm(limit), cohort=COHORT)
    [sighting] = await services.examiner.examine([png(picture(ANNA))])
    key = "0" * 32
    subject = Subject(key, "training", "run", 0, "anna", "model")
    [one] = await appraise({key: subject}, {key: sighting}, services, gallery_version="v", examine_ms=0.0)
    return one


async def test_the_verdict_carries_the_score_that_decided(services):
    score = COHORT.score(*[unit(np.array(ANNA, np.float32))] * 2)
    assert score is not None
    accepted, flagged = await judged(services, score), await judged(services, score + 0.0001)

    assert (accepted.judged.decision, accepted.judged.similarity) == (Decision.ACCEPTED, 1.0)
    assert accepted.judged.normalised_similarity == accepted.judged.limits["normalised_similarity"] == score
    assert (accepted.measurement.cohort, flagged.measurement.cohort) == (COHORT.sha256, COHORT.sha256)
    assert [reason.code for reason in flagged.judged.reasons] == [ReasonCode.MISMATCH]


async def test_a_rough_look_never_settles_a_normalised_score(services):
    rough = StubExaminer(error=0.0001)
    one = await judged(replace(services, examiner=rough), -5.0)
    assert rough.second_looks == [1]
    assert one.measurement.similarity_error is None


def measured() -> Findings:
    images, seen = people(30, 5, 0.5)
    _, strangers = people(60, 1, 0.0, seed=9)
    cohort = list(strangers.values())
    evidence = of_identities(images, seen, domain=Origin.SYNTHETIC, space=SPACE, words="people", cohort=cohort)
    targets = Targets(fmr=0.02, normalised=True)
    return calibrate(evidence, targets, policy(), name="normed", made_with="tests", resamples=20)


def test_calibrating_writes_a_policy_and_the_cohort_beside_it_and_both_are_read_again(tmp_path: Path):
    findings = measured()
    by, evidence = findings.policy.normalisation, findings.evidence
    assert by is not None
    assert evidence.cohort is not None
    assert evidence.normalised is not None
    assert 0 < (evidence.normalised.non_mated >= by.limit).mean() <= 0.02
    assert findings.policy.holds_for.comparator == "centroid/s-norm"
    assert "only 60 strangers say what is usual (100 at least)" in findings.warnings
    assert "not compared" in findings.measured.sources["similarity"]
    assert parse(policy_text(findings.policy), "normed.toml") == findings.policy
    refuse_elsewhere(findings.policy, embedding_space=SPACE, domain=None)
    assert findings.policy.false_match_rate(0.9, by.limit) == pytest.approx(0.02, rel=0.5)
    assert findings.policy.false_match_rate(0.9, None) is None

    write_cohort(evidence.cohort, by, tmp_path)
    cohort = read_cohort(findings.policy, by, tmp_path, dimension=8)
    assert (cohort.sha256, cohort.top, len(cohort.vectors)) == (by.cohort, by.top, 60)
    assert "standard deviations above what strangers have" in calibration_html(findings, Targets(), NOW)


def test_an_evaluation_by_such_a_policy_is_of_normalised_scores(tmp_path: Path):
    findings = measured()
    by = findings.policy.normalisation
    assert by is not None
    write_cohort(findings.evidence.cohort, by, tmp_path)
    cohort = read_cohort(findings.policy, by, tmp_path, dimension=8)
    images, seen = people(30, 5, 0.5)

    said = evaluate_identities(images, seen, findings.policy, SPACE, cohort=cohort, resamples=20)
    without = evaluate_identities(images, seen, findings.policy, SPACE, resamples=20)

    assert said.figures.threshold_policy == by.limit
    assert said.figures.fmr_policy == pytest.approx((findings.evidence.normalised.non_mated >= by.limit).mean())
    assert said.verdicts["accepted"] > 0
    assert without.figures.threshold_policy is None
    assert without.verdicts == {}


def test_a_policy_whose_cohort_is_absent_altered_or_of_another_space_is_refused(tmp_path: Path):
    with pytest.raises(PolicyRefused, match=r"cannot be read.*copy it beside the policy"):
        read_cohort(POLICY, BY, tmp_path, dimension=8)
    path = write_cohort(STRANGERS, BY, tmp_path)
    assert read_cohort(POLICY, BY, tmp_path, dimension=8).sha256 == BY.cohort
    with pytest.raises(PolicyRefused, match="40 strangers of 128 numbers"):
        read_cohort(POLICY, BY, tmp_path, dimension=128)
    path.write_bytes(path.read_bytes()[:-4] + b"\0\0\0\0")
    with pytest.raises(PolicyRefused, match=r"expected .* with sha256"):
        read_cohort(POLICY, BY, tmp_path, dimension=8)


def test_the_comparator_and_the_table_go_together():
    content = POLICY.model_dump(exclude_none=True)
    assert Policy.model_validate(content) == POLICY
    del content["normalisation"]
    with pytest.raises(ValidationError, match="needs the table"):
        Policy.model_validate(content)


def test_scores_are_not_normalised_without_a_cohort():
    images, seen = people(4, 3, 0.3)
    evidence = of_identities(images, seen, domain=Origin.SYNTHETIC, space=SPACE, words="people")
    with pytest.raises(BadInput, match="--cohort"):
        calibrate(evidence, Targets(normalised=True), policy(), name="x", made_with="tests", resamples=20)
