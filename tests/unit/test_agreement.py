"""What requiring two verifiers costs and brings: both error rates of each alone, and of both together."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from streams.cli.main import build
from streams.core.biometrics.agreement import agreement
from streams.core.biometrics.comparisons import Comparisons
from streams.core.gallery import Origin, Reference
from streams.core.policy import Second, parse
from streams.core.similarity import unit
from streams.errors import BadInput
from streams.ports import SecondVerifier
from streams.testing.examiner import STUB_SPACE
from streams.testing.gallery import InMemoryGallery
from streams.testing.services import policy
from streams.testing.services import services as on_stand_ins
from streams.tools.enrol import summarise
from streams.tools.rates.acquire import Seen
from streams.tools.rates.calibrate import Findings, Targets, calibrate
from streams.tools.rates.evaluate import evaluate_identities, evaluate_pairs
from streams.tools.rates.evidence import of_gallery, of_identities
from streams.tools.rates.labels import Labelled, Pair
from streams.tools.rates.policy_file import policy_text
from streams.tools.rates.reports import calibration_html, evaluation_html
from streams.tools.second import enrol_everywhere
from tests.seen_faces import SPACE, people

OTHER = replace(STUB_SPACE, embedder="other-8")
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)


def compared(mated: list[float], non_mated: list[float]) -> Comparisons:
    return Comparisons(
        np.array(mated),
        np.arange(len(mated)),
        np.array(non_mated),
        np.array([(number, number + 1) for number in range(len(non_mated))]),
    )


def test_both_match_where_each_does_at_its_own_limit():
    first = compared([0.9, 0.8, 0.7, 0.4], [0.6, 0.5, 0.1, 0.2])
    second = compared([0.99, 0.90, 0.99, 0.99], [0.99, 0.90, 0.99, 0.90])

    said = agreement(first, second, (0.5, 0.95), times=50, seed=0)

    assert (said.first.fmr, said.first.fnmr) == (0.5, 0.25)
    assert (said.second.fmr, said.second.fnmr) == (0.5, 0.25)
    # Of the non-mated only the first matches in both; of the mated the first and the third.
    assert (said.both.fmr, said.both.fnmr) == (0.25, 0.5)
    assert (said.mated, said.non_mated) == (4, 4)


@given(st.integers(0, 2**32 - 1), st.floats(-1, 1), st.floats(-1, 1))
def test_requiring_both_never_lets_more_strangers_in_and_never_keeps_more_of_the_right_ones(seed, one, other):
    random = np.random.default_rng(seed)
    first, second = (compared(list(random.uniform(-1, 1, 8)), list(random.uniform(-1, 1, 12))) for _ in range(2))
    said = agreement(first, second, (one, other), times=0, seed=0)
    assert said.both.fmr <= min(said.first.fmr, said.second.fmr)
    assert said.both.fnmr >= max(said.first.fnmr, said.second.fnmr)


def test_no_error_among_few_comparisons_is_not_told_as_none():
    said = agreement(compared([0.9] * 4, [0.1] * 10), compared([0.9] * 4, [0.1] * 10), (0.5, 0.5), times=50, seed=0)
    assert said.both.fmr == 0
    assert said.both.fmr_interval[1] == pytest.approx(0.2589, rel=1e-3)  # 1 - 0.05^(1/10)


def test_other_comparisons_than_those_of_the_first_are_refused():
    with pytest.raises(ValueError, match="the same images"):
        agreement(compared([0.9], [0.1]), compared([0.9, 0.8], [0.1]), (0.5, 0.5), times=0, seed=0)


def both_seen(spread: float = 0.5) -> tuple[list[Labelled], dict[Path, Seen]]:
    """People of whom each verifier has a view of its own, with errors of its own."""
    images, seen = people(12, 4, spread)
    _, other = people(12, 4, spread, seed=1)
    for path, one in seen.items():
        assert one.face is not None
        assert other[path].face is not None
        seen[path] = replace(one, face=replace(one.face, second=other[path].face.embedding))
    return images, seen


def calibrated(second_fmr: float | None = 0.05) -> Findings:
    images, seen = both_seen()
    evidence = of_identities(
        images, seen, domain=Origin.SYNTHETIC, space=SPACE, words="people", second_space=OTHER.fingerprint
    )
    targets = Targets(fmr=0.05, second_fmr=second_fmr)
    return calibrate(evidence, targets, policy(), name="both", made_with="tests", resamples=50)


def test_calibrating_measures_the_effect_and_the_policy_carries_it():
    findings = calibrated()
    required = findings.policy.second

    assert required is not None
    assert required.embedding_space == OTHER.fingerprint
    assert "FMR 0.05" in required.provenance
    assert required.effect is not None
    assert required.effect.second.fmr <= 0.05
    assert required.effect.both.fmr < required.effect.first.fmr
    text = policy_text(findings.policy)
    assert parse(text, "both.toml") == findings.policy
    assert "Two verifiers that must agree" in calibration_html(findings, Targets(), NOW)


def test_a_policy_requires_no_second_verifier_unless_it_is_asked_to():
    assert calibrated(second_fmr=None).policy.second is None


def test_nothing_can_be_required_of_a_verifier_that_has_measured_nothing():
    images, seen = people(4, 3, 0.3)
    evidence = of_identities(images, seen, domain=Origin.SYNTHETIC, space=SPACE, words="people")
    with pytest.raises(BadInput, match="LIKENESS_SECOND_EMBEDDER"):
        calibrate(evidence, Targets(second_fmr=0.1), policy(), name="one", made_with="tests", resamples=20)


def test_an_image_that_the_second_verifier_does_not_see_is_a_failure_to_acquire():
    images, seen = both_seen()
    blind = seen[images[0].path]
    assert blind.face is not None
    seen[images[0].path] = replace(blind, face=replace(blind.face, second=None))
    evidence = of_identities(
        images, seen, domain=Origin.SYNTHETIC, space=SPACE, words="", second_space=OTHER.fingerprint
    )
    assert (evidence.images, evidence.failures, len(evidence.comparisons.mated)) == (48, 1, 47)
    assert evidence.second is not None
    np.testing.assert_array_equal(evidence.second.comparisons.mated_subjects, evidence.comparisons.mated_subjects)


async def test_of_a_gallery_the_references_are_compared_that_both_have(ledger, consent):
    second = SecondVerifier(OTHER, InMemoryGallery(OTHER))
    services = on_stand_ins(ledger=ledger, consent=consent, second=second)
    random = np.random.default_rng(0)
    for name in ("anna", "bert"):
        vectors = [unit(random.normal(size=8).astype(np.float32)) for _ in range(6)]
        held = [
            Reference(f"{name}-{number}", name, Origin.SYNTHETIC, "0" * 64, vectors[number], vectors[number + 3])
            for number in range(3)
        ]
        held[0] = replace(held[0], second=None)
        await enrol_everywhere(summarise(name, held), held, services)

    evidence = await of_gallery(services.gallery, space=SPACE, second=second)

    assert evidence.second is not None
    assert (evidence.images, len(evidence.comparisons.mated), len(evidence.second.comparisons.mated)) == (4, 4, 4)


def required(similarity: float) -> Second:
    return Second(embedding_space=OTHER.fingerprint, similarity=similarity, provenance="a test")


def test_an_evaluation_tells_the_effect_at_the_policys_limits():
    images, seen = both_seen()
    against = policy(similarity=0.5).model_copy(update={"second": required(0.5)})

    alone = evaluate_identities(images, seen, policy(similarity=0.5), SPACE, resamples=20)
    said = evaluate_identities(images, seen, against, SPACE, resamples=20)

    assert alone.agreement is None
    assert said.agreement is not None
    assert said.agreement.first.fmr == pytest.approx(said.figures.fmr_policy, rel=1e-3)
    assert said.agreement.both.fmr < said.agreement.first.fmr
    assert said.as_dict()["agreement"]["both"]["fnmr"] == said.agreement.both.fnmr
    assert said.verdicts["second-verifier"] == 1
    assert "second-verifier" not in alone.verdicts
    assert "Two verifiers that must agree" in evaluation_html(said, "t", NOW)


def test_pairs_are_held_to_both_as_well():
    images, seen = both_seen(0.2)
    pairs = [Pair(images[4 * who].path, images[4 * who + 1].path, True) for who in range(6)]
    pairs += [Pair(images[4 * who].path, images[4 * who + 4].path, False) for who in range(6)]
    never = policy(similarity=0.5).model_copy(update={"second": required(1.0)})

    said = evaluate_pairs(pairs, seen, never, SPACE, resamples=20)

    assert said.agreement is not None
    assert (said.agreement.second.fnmr, said.agreement.both.fnmr, said.agreement.both.fmr) == (1.0, 1.0, 0.0)
    assert set(said.verdicts) == {"second-verifier"}


@pytest.mark.parametrize(
    ("arguments", "remedy"), [(["--second-fmr", "0.01"], "LIKENESS_SECOND_EMBEDDER"), (["--s-norm"], "--cohort")]
)
def test_what_cannot_be_required_is_refused_before_any_image_is_looked_at(tmp_path: Path, arguments, remedy):
    (tmp_path / "anna").mkdir()
    (tmp_path / "anna" / "a.png").write_bytes(b"no image")
    with pytest.raises(BadInput, match=remedy):
        CliRunner().invoke(
            build(),
            ["calibrate", "identities", str(tmp_path), "--output", str(tmp_path / "out.toml"), *arguments],
            catch_exceptions=False,
        )
