"""What the steps of a training run advise, and what is measured on one."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.drift.chart import NO_FACE, Chart, Kind, Observation
from streams.core.drift.moments import Moments, frechet, mean_similarity, mmd2, vendi
from streams.core.drift.training import StepMetrics, advise, measure_step
from streams.core.similarity import unit

RUN = Chart(Kind.RUN, run="run-1", basis="plan space")


def observation(number: int, score: int | None = 7000, *, reasons: tuple[str, ...] = (), **fields: Any) -> Observation:
    given = {"identity": "anna", "margin": 1000} | fields
    return Observation(RUN, 1, f"{number:032x}", 0, score=score, reasons=reasons, **given)


def step(similarity: float | None, *, n: int = 16, sd: float = 0.04, **fields: Any) -> StepMetrics:
    """Return a step; the standard error of its similarity is 0.01."""
    accepted = {"samples": n, "accepted": n, "flagged": {}, "measured": n if similarity is not None else 0}
    return StepMetrics(**accepted | {"similarity": similarity, "similarity_sd": sd} | fields)


def advice(*steps: StepMetrics) -> tuple[str, int | None]:
    found = advise([(100 * number, one) for number, one in enumerate(steps, start=1)])
    return found.advice, found.best_step


# The standard error of the difference of two such steps is 0.0141: two of them are 0.0283, three 0.0424.
@pytest.mark.parametrize(
    ("similarities", "expected"),
    [
        ([0.5], ("continue", 100)),
        ([0.5, 0.7], ("continue", 200)),
        ([0.7, 0.672], ("continue", 100)),
        ([0.7, 0.671], ("best-so-far", 100)),
        ([0.7, 0.6, 0.6], ("best-so-far", 100)),
        ([0.7, 0.6, 0.6, 0.6], ("stop", 100)),
        ([0.7, 0.6, 0.66, 0.6], ("best-so-far", 100)),
        ([0.7, 0.6, 0.6, 0.6, 0.7], ("continue", 500)),
    ],
)
def test_a_step_below_the_best_is_told_apart_from_a_run_that_is_lost(similarities, expected):
    assert advice(*map(step, similarities)) == expected


def test_samples_that_are_all_alike_stop_the_run():
    varied = step(0.6, diversity=0.4)
    assert advice(varied, step(0.7, diversity=0.3), step(0.69, diversity=0.16)) == ("continue", 200)
    assert advice(varied, step(0.7, diversity=0.3), step(0.69, diversity=0.14)) == ("stop", 200)


@pytest.mark.parametrize(("copies", "expected"), [(0, "continue"), (1, "continue"), (2, "stop"), (16, "stop")])
def test_copies_beyond_doubt_stop_the_run(copies, expected):
    # Wilson's interval of 1 in 16 begins at 0.011; of 1 in 40, at 0.004.
    assert advice(step(0.7, n=40, copy_rate=copies / 40))[0] == expected


def test_too_few_samples_advise_nothing():
    few = step(0.1, n=4)
    assert advice(few) == ("continue", None)
    assert advice(step(0.7), few) == ("continue", 100)
    assert advice(step(None), step(None)) == ("continue", None)


def test_every_sample_of_a_step_counts_in_what_it_is_part_of():
    step_samples = [
        observation(0, 8000),
        observation(1, 6000, margin=-500, reasons=("mismatch", "ambiguous")),
        observation(2, NO_FACE, margin=None, reasons=("no-face",)),
        observation(3, None, margin=None, reasons=("no-consent",)),
        observation(4, 7000, reasons=("leak",)),
        observation(5, 7000, margin=None, reasons=("copy",)),
    ]
    found = measure_step(step_samples, {}, [])
    assert (found.samples, found.accepted, found.measured) == (6, 1, 4)
    assert found.flagged == {"ambiguous": 1, "copy": 1, "leak": 1, "mismatch": 1, "no-consent": 1, "no-face": 1}
    assert (found.similarity, found.rank1) == (0.7, 0.75)
    assert found.similarity_sd == pytest.approx(math.sqrt(0.02 / 3), abs=1e-6)
    assert (found.copy_rate, found.leak_rate, found.abstention_rate) == (0.166667, 0.166667, 0.166667)
    assert (found.diversity, found.vendi, found.frechet, found.mmd2) == (None, None, None, None)


def test_diversity_is_within_one_identity_and_distances_are_to_the_references():
    eye = np.eye(4, dtype=np.float32)
    samples = [observation(n, identity="anna" if n < 2 else "bert") for n in range(4)]
    alike = {samples[0].sample_id: eye[0], samples[1].sample_id: eye[0]}
    alike |= {samples[2].sample_id: eye[1], samples[3].sample_id: eye[1]}
    found = measure_step(samples, alike, [eye[0], eye[0], eye[1], eye[1]])
    assert (found.diversity, found.vendi, found.frechet, found.references) == (0, 2, 0, 4)
    apart = {one.sample_id: eye[n] for n, one in enumerate(samples)}
    assert measure_step(samples, apart, []).diversity == 1


@given(st.randoms(use_true_random=False))
def test_the_order_of_a_steps_samples_makes_no_difference(random):
    rng = np.random.default_rng(3)
    samples = [observation(n, int(rng.integers(10_000))) for n in range(12)]
    embeddings = {one.sample_id: unit(rng.normal(size=8).astype(np.float32)) for one in samples}
    shuffled = list(samples)
    random.shuffle(shuffled)
    references = list(embeddings.values())[:3]
    assert measure_step(shuffled, embeddings, references) == measure_step(samples, embeddings, references)


# -- distances, against values of torch-fidelity 0.4, torchmetrics 1.9 and the vendi-score package ---------------------


@pytest.fixture
def real_and_fake() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.RandomState(0)
    real = rng.randn(500, 16)
    return real, rng.randn(500, 16) * 0.8 + 0.3


def test_the_frechet_distance_is_that_of_two_independent_libraries(real_and_fake):
    real, fake = (Moments.of(list(rows)) for rows in real_and_fake)
    assert frechet(real, fake) == pytest.approx(2.38319790984198, abs=1e-9)
    assert frechet(real, real) == pytest.approx(0, abs=1e-9)


def test_mmd_and_vendi_are_those_that_were_computed_from_all_pairs(real_and_fake):
    real, fake = (Moments.of(list(rows / np.linalg.norm(rows, axis=1, keepdims=True))) for rows in real_and_fake)
    assert mmd2(real, fake) == pytest.approx(0.2725090351, abs=1e-9)
    assert vendi(fake) == pytest.approx(14.7715091739, abs=1e-9)
    assert vendi(real) == pytest.approx(15.7653774495, abs=1e-9)


def test_moments_of_parts_add_to_those_of_the_whole(real_and_fake):
    rows = list(real_and_fake[0])
    whole, parts = Moments.of(rows), Moments.of(rows[:120]) + Moments.of(rows[120:])
    assert whole.n == parts.n
    np.testing.assert_allclose(parts.first, whole.first)
    np.testing.assert_allclose(parts.covariance, np.cov(np.array(rows).T))


def test_of_one_vector_there_is_neither_a_distance_nor_a_pair():
    one = Moments.of([np.eye(4, dtype=np.float32)[0]])
    assert (frechet(one, one), mmd2(one, one), mean_similarity(one)) == (None, None, None)
    assert vendi(one) == 1
