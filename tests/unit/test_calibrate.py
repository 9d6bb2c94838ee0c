"""From labelled scores to a policy file: what is measured, what is extrapolated, and what is refused."""

from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from streams.core.biometrics.comparisons import Comparisons, against_centroids
from streams.core.biometrics.rates import fpir, rule_of_three
from streams.core.gallery import Origin
from streams.core.policy import parse, refuse_elsewhere
from streams.errors import BadInput, PolicyRefused
from streams.testing.services import policy as base_policy
from streams.tools.rates.calibrate import Evidence, Findings, Targets, calibrate
from streams.tools.rates.policy_file import policy_text, write_policy
from streams.tools.rates.reports import calibration_html

BASE = base_policy()
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def evidence(people: int = 40, each: int = 6, spread: float = 0.9, seed: int = 0) -> Evidence:
    """People whose images scatter around them, in 16 dimensions: mated and non-mated scores overlap a little."""
    random = np.random.default_rng(seed)
    subjects = np.repeat(np.arange(people), each)
    vectors = random.normal(size=(people, 16))[subjects] + spread * random.normal(size=(people * each, 16))
    embeddings = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    trial = against_centroids(embeddings, subjects, most_non_mated=10**6, seed=0)
    return Evidence(
        trial.comparisons,
        "centroid/raw",
        Origin.SYNTHETIC,
        "stub/1",
        "vectors that are drawn",
        trial.margins,
        images=240,
    )


def found(targets: Targets | None = None, given: Evidence | None = None, **options: int) -> Findings:
    options = {"resamples": 50, **options}
    return calibrate(
        given or evidence(),
        targets or Targets(fmr=0.01, gallery_size=5),
        BASE,
        name="drawn",
        made_with="tests",
        **options,
    )


def test_the_limits_keep_their_targets_on_what_was_measured():
    findings = found()
    scores, limits = findings.evidence.comparisons, findings.policy.limits
    own, others = findings.measured.operating_points

    assert (scores.non_mated >= limits.similarity).mean() == pytest.approx(own.fmr, rel=1e-3)
    assert own.fmr <= 0.01
    assert fpir(float((scores.non_mated >= limits.other_similarity).mean()), 5) <= 0.01
    assert not own.extrapolated
    assert not others.extrapolated
    assert own.fmr_interval[0] <= own.fmr <= own.fmr_interval[1]
    assert own.fnmr == pytest.approx((scores.mated < limits.similarity).mean(), rel=1e-3)
    assert limits.margin == pytest.approx(max(0, np.quantile(findings.evidence.margins, 0.05)), abs=1e-4)


def test_limits_that_nothing_was_measured_for_are_those_of_the_base_and_say_so():
    findings = found()

    assert (findings.policy.limits.face_side, findings.policy.limits.sharpness) == (40.0, 20.0)
    assert set(findings.measured.sources) == set(BASE.limits.model_dump())
    assert BASE.version in findings.measured.sources["face_side"]
    assert findings.measured.sources["similarity"] == "FMR 0.01; measured"


def test_the_file_is_the_policy_and_workers_load_it(tmp_path):
    findings = found()
    write_policy(findings.policy, tmp_path / "new" / "drawn.toml")

    read = parse((tmp_path / "new" / "drawn.toml").read_text(), "drawn.toml")

    assert read == findings.policy
    assert read.version == findings.policy.version
    refuse_elsewhere(read, embedding_space="stub/1", domain=Origin.SYNTHETIC)


def test_whatever_words_stand_in_it_the_file_stays_a_policy():
    words = 'a "quoted" \\ path\nof two lines \x7f \x01 [limits] é 🙂'
    findings = found(given=replace(evidence(), measured_on=words))
    read = parse(policy_text(findings.policy), "drawn.toml")
    assert read.calibration is not None
    assert read.calibration.measured_on == words


def test_one_person_with_two_images_is_enough_for_a_policy_that_can_be_read():
    """Too little to judge the likelihood ratio on others: what was not measured is not in the file."""
    few = Comparisons(np.array([0.9, 0.8]), np.zeros(2, int), np.array([0.1, 0.3]), np.array([[0, 1], [1, 0]]))
    findings = found(given=replace(evidence(), comparisons=few, margins=np.array([0.6, 0.7])))

    assert findings.measured.likelihood_ratio.cllr is None
    assert parse(policy_text(findings.policy), "few.toml") == findings.policy
    assert "too few people" in calibration_html(findings, Targets(), NOW)


def test_the_same_measurement_has_the_same_version_and_another_has_another():
    assert found().policy.version == found().policy.version
    assert found().policy.version != found(given=evidence(seed=1)).policy.version


def test_a_target_that_the_comparisons_cannot_show_is_extrapolated_and_marked():
    given = evidence()
    findings = found(Targets(fmr=1e-6), given)
    point = findings.measured.operating_points[0]

    assert rule_of_three(len(given.comparisons.non_mated)) > 1e-6
    assert point.extrapolated
    assert point.similarity > given.comparisons.non_mated.max()
    assert point.fmr <= 1e-6 * 1.01
    # What is claimed is the tail's; what is known is the bound.
    assert point.fmr_interval[1] >= rule_of_three(len(given.comparisons.non_mated)) * 0.999
    assert "extrapolated" in findings.measured.sources["similarity"]
    assert any("extrapolated" in warning for warning in findings.warnings)


def test_a_limit_that_no_tail_could_be_fitted_for_is_said_to_keep_nothing_that_is_known():
    """Five people with two images each have 40 non-mated comparisons; a tail needs more."""
    given = evidence(people=5, each=2)
    assert len(given.comparisons.non_mated) == 40

    findings = found(Targets(fmr=0.001), given)

    assert findings.policy.limits.similarity == pytest.approx(given.comparisons.non_mated.max() + 1e-4, abs=1e-6)
    assert "not known" in findings.measured.sources["similarity"]
    assert "tail" in found(Targets(fmr=1e-6)).measured.sources["similarity"]
    assert any("not known" in warning for warning in findings.warnings)


def test_no_verdict_claims_a_smaller_rate_than_was_measured():
    findings = found()
    bound = rule_of_three(len(findings.evidence.comparisons.non_mated))

    assert findings.policy.false_match_rate(1.0) == pytest.approx(bound, rel=1e-3)
    for similarity in np.arange(-1, 1, 0.0137):
        claimed = findings.policy.false_match_rate(float(similarity))
        assert claimed is not None
        assert claimed >= (findings.evidence.comparisons.non_mated >= similarity).mean() * 0.999
    assert findings.policy.false_match_rate(None) is None


def test_the_limit_can_be_set_by_the_share_of_good_samples_that_it_flags():
    findings = found(Targets(fmr=0.01, false_flags=0.05))
    assert (findings.evidence.comparisons.mated < findings.policy.limits.similarity).mean() <= 0.05
    assert findings.false_flags is not None
    assert findings.false_flags[0] < 0.05 < findings.false_flags[1]
    assert "conformal" not in findings.measured.sources["other_similarity"]
    assert findings.measured.sources["similarity"].startswith("false flags 0.05")


def test_a_share_that_so_few_samples_cannot_tell_is_refused():
    with pytest.raises(BadInput, match="expected 999 good samples at least"):
        found(Targets(false_flags=0.001))


def test_limits_of_pairs_never_serve_centroids():
    findings = found(given=replace(evidence(), comparator="pair/raw", margins=None))

    assert findings.policy.limits.margin == BASE.limits.margin
    with pytest.raises(PolicyRefused, match="pair/raw, verdicts rest on centroids: calibrate from"):
        refuse_elsewhere(findings.policy, embedding_space="stub/1", domain=Origin.SYNTHETIC)


def test_the_same_image_under_two_names_is_no_crash_and_is_warned_of():
    """Nothing is above a similarity of 1: no limit keeps the target, and the policy is still one."""
    twins = Comparisons(np.array([0.9, 0.8]), np.array([0, 1]), np.array([1.0, 0.2]), np.array([[0, 1], [1, 0]]))
    findings = found(given=replace(evidence(), comparisons=twins, margins=np.array([-0.1, 0.3])))

    assert (findings.policy.limits.similarity, findings.policy.limits.margin) == (1.0, 0.0)
    assert any("no similarity keeps FMR" in warning for warning in findings.warnings)
    assert parse(policy_text(findings.policy), "twins.toml") == findings.policy
    assert "<svg" in calibration_html(findings, Targets(), NOW)


def test_one_person_is_too_few_to_calibrate():
    one = Comparisons(np.ones(3), np.zeros(3, int), np.array([]), np.empty((0, 2), int))
    with pytest.raises(BadInput, match="two people at least"):
        found(given=replace(evidence(), comparisons=one))


def test_few_people_are_warned_of():
    assert any("only 5 people" in warning for warning in found(given=evidence(people=5)).warnings)
    assert not any("people" in warning for warning in found(given=evidence(people=40)).warnings)


def test_the_likelihood_ratio_grows_and_carries_information():
    measured = found().measured.likelihood_ratio
    assert list(measured.log_ratio) == sorted(measured.log_ratio)
    assert measured.cllr is not None
    assert 0 <= measured.min_cllr <= measured.cllr < 0.5


def test_the_page_needs_nothing_beside_itself_and_no_words_become_markup():
    evil = "<script>alert(1)</script>"
    page = calibration_html(found(given=replace(evidence(), measured_on=evil)), Targets(), NOW)
    assert "<script" not in page
    assert "&lt;script&gt;" in page
    assert page.count("<svg") == 2
    for word in ("src=", "href=", "url(", "@import"):
        assert word not in page


def test_the_page_compares_plain_and_normalised_scores():
    given = evidence()
    page = calibration_html(found(given=replace(given, normalised=given.comparisons)), Targets(), NOW)
    assert page.count("<polyline") == 2
    assert "adaptive s-norm" in page
