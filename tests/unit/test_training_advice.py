"""What the steps of a training run advise, and what is measured on one."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.drift.advice import advise
from streams.core.drift.chart import NO_FACE, Chart, Kind, Observation
from streams.core.drift.training import FEWEST_OF_NEIGHBOURS, StepMetrics, measure_step
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


def test_a_step_that_collapses_onto_its_target_or_copies_is_not_the_best_though_it_is_the_most_similar():
    good = step(0.7, diversity=0.3)
    assert advice(good, step(0.9, diversity=0.1)) == ("stop", 100)
    assert advice(good, step(0.9, diversity=0.1), step(0.7, diversity=0.3)) == ("continue", 300)
    assert advice(good, step(0.95, diversity=0.3, copy_rate=0.5)) == ("stop", 100)


def test_samples_that_vary_as_their_references_do_have_not_collapsed():
    young = step(0.2, diversity=0.9, references_diversity=0.3)
    assert advice(young, step(0.6, diversity=0.4, references_diversity=0.3)) == ("continue", 200)
    assert advice(young, step(0.6, diversity=0.2, references_diversity=0.3)) == ("stop", 100)


@pytest.mark.parametrize(
    ("vendi", "embedded", "expected"), [(9, 64, "continue"), (7, 64, "stop"), (7, 40, "continue"), (7, 20, "continue")]
)
def test_faces_that_come_to_fewer_than_the_references_stop_the_run_where_they_are_no_fewer_samples(
    vendi, embedded, expected
):
    faces = {"references": 32, "references_vendi": 10.0}
    good = step(0.7, vendi=16.0, embedded=64, **faces)
    assert advice(good, step(0.7, vendi=float(vendi), embedded=embedded, **faces))[0] == expected


@pytest.mark.parametrize(
    ("similarity", "coverage", "references", "expected"),
    [
        (0.7, 0.45, 40, "continue"),
        (0.7, 0.2, 40, "stop"),
        (0.6, 0.2, 40, "best-so-far"),  # it is farther from whom it should show: no collapse
        (0.7, 0.35, 4, "continue"),  # 0.45 is less than two standard errors, of 0.29
    ],
)
def test_a_run_that_covers_less_while_its_similarity_holds_has_collapsed(similarity, coverage, references, expected):
    good = step(0.7, coverage=0.8, embedded=64, references=references)
    found = advice(good, step(similarity, coverage=coverage, embedded=64, references=references))
    assert found[0] == expected


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
    found = measure_step(step_samples, {}, {})
    assert (found.samples, found.accepted, found.measured) == (6, 1, 4)
    assert found.flagged == {"ambiguous": 1, "copy": 1, "leak": 1, "mismatch": 1, "no-consent": 1, "no-face": 1}
    assert (found.similarity, found.rank1) == (0.7, 0.75)
    assert found.similarity_sd == pytest.approx(math.sqrt(0.02 / 3), abs=1e-6)
    assert (found.copy_rate, found.leak_rate, found.abstention_rate) == (0.166667, 0.166667, 0.166667)
    assert (found.diversity, found.vendi, found.frechet, found.mmd2) == (None, None, None, None)


def around(direction: int, count: int, spread: float, seed: int = 0) -> list[np.ndarray]:
    """Return unit vectors near one axis of 16."""
    rng = np.random.default_rng([direction, seed])
    return [unit((np.eye(16)[direction] + spread * rng.normal(size=16)).astype(np.float32)) for _ in range(count)]


def measured(made: list[np.ndarray], references: list[np.ndarray]) -> StepMetrics:
    samples = [observation(n) for n in range(len(made))]
    return measure_step(samples, {one.sample_id: made[n] for n, one in enumerate(samples)}, {"anna": references})


def test_diversity_is_within_one_identity_and_distances_are_to_the_references():
    eye = np.eye(4, dtype=np.float32)
    samples = [observation(n, identity="anna" if n < 3 else "bert") for n in range(6)]
    alike = {one.sample_id: eye[n // 3] for n, one in enumerate(samples)}
    found = measure_step(samples, alike, {"anna": [eye[0]] * 3, "bert": [eye[1]] * 3})
    assert (found.diversity, found.vendi, found.references, found.embedded) == (0, 2, 6, 6)
    assert (found.frechet, found.references_diversity, found.references_vendi) == (pytest.approx(0), 0, 2)
    apart = {one.sample_id: eye[n % 3] for n, one in enumerate(samples)}
    assert measure_step(samples, apart, {}).diversity == 1


def test_a_pair_or_two_of_one_person_say_nothing_of_diversity():
    eye = np.eye(4, dtype=np.float32)
    samples = [observation(n, identity=f"person-{n % 11}") for n in range(12)]
    found = measure_step(samples, {one.sample_id: eye[0] for one in samples}, {})
    assert (found.embedded, found.diversity) == (12, None)


def test_every_metric_of_embeddings_is_there_from_twenty_samples_and_references_on():
    found = measured(around(0, 40, 0.2), around(0, 30, 0.2, seed=1))
    assert (found.embedded, found.references) == (40, 30)
    assert found.frechet == pytest.approx(0, abs=0.5)
    assert found.mmd2 == pytest.approx(0, abs=0.02)
    assert min(found.precision or 0, found.recall or 0, found.coverage or 0) > 0.8
    assert found.density == pytest.approx(1, abs=0.4)
    elsewhere = measured(around(1, 40, 0.2), around(0, 30, 0.2, seed=1))
    assert (elsewhere.precision, elsewhere.density, elsewhere.coverage) == (0, 0, 0)


@pytest.mark.parametrize(
    ("made", "references", "missing"),
    [
        (4, 40, {"diversity", "vendi", "frechet", "mmd2", "precision", "recall", "density", "coverage"}),
        (40, 4, {"references_diversity", "references_vendi", "frechet", "mmd2", "precision", "recall", "density"}),
        (FEWEST_OF_NEIGHBOURS - 1, 40, {"precision", "recall", "density", "coverage"}),
        (40, FEWEST_OF_NEIGHBOURS - 1, {"precision", "recall", "density", "coverage"}),
        (FEWEST_OF_NEIGHBOURS, FEWEST_OF_NEIGHBOURS, set()),
    ],
)
def test_what_too_few_say_is_left_out(made, references, missing):
    found = measured(around(0, made, 0.2), around(0, references, 0.2, seed=1))
    absent = {name for name, value in found.model_dump().items() if value is None}
    assert absent == (missing | {"coverage"} if missing else missing)


@given(st.randoms(use_true_random=False))
def test_the_order_of_a_steps_samples_makes_no_difference(random):
    rng = np.random.default_rng(3)
    samples = [observation(n, int(rng.integers(10_000))) for n in range(12)]
    embeddings = {one.sample_id: unit(rng.normal(size=8).astype(np.float32)) for one in samples}
    shuffled = list(samples)
    random.shuffle(shuffled)
    references = {"anna": list(embeddings.values())[:6]}
    assert measure_step(shuffled, embeddings, references) == measure_step(samples, embeddings, references)
