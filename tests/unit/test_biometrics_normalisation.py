"""The adaptive s-norm: the same from both sides, whatever the scale, and good for faces that are near to everybody."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.biometrics.comparisons import against_centroids
from streams.core.biometrics.normalisation import normalised, normalised_trial, usual
from streams.core.biometrics.rates import det, eer

seeds = st.integers(0, 10_000)


def sides(seed, faces=6, cohort=40):
    random = np.random.default_rng(seed)
    return random.uniform(-1, 1, faces), random.uniform(-1, 1, (faces, cohort)), random.uniform(-1, 1, (faces, cohort))


@given(seeds)
def test_it_is_the_same_whichever_side_is_named_first(seed):
    similarities, first, second = sides(seed)
    a, b = usual(first, 20), usual(second, 20)
    np.testing.assert_allclose(normalised(similarities, a, b), normalised(similarities, b, a))


@given(seeds, st.floats(0.1, 10), st.floats(-5, 5))
def test_it_does_not_change_with_the_scale_of_the_similarities(seed, scale, shift):
    similarities, first, second = sides(seed)
    plain = normalised(similarities, usual(first, 20), usual(second, 20))
    other = normalised(scale * similarities + shift, *(usual(scale * each + shift, 20) for each in (first, second)))
    np.testing.assert_allclose(plain, other, atol=1e-6)


def test_only_the_nearest_strangers_say_what_is_usual():
    assert usual(np.array([[0.1, 0.5, 0.9, 0.7]]), 2).mean == pytest.approx([0.8])


def test_a_cohort_of_one_has_no_spread():
    with pytest.raises(ValueError, match="two strangers at least, got 1"):
        usual(np.zeros((3, 1)), 100)


def test_it_helps_where_some_people_are_near_to_everybody():
    """Half of the people, and half of the strangers, share a direction: among them all similarities are higher."""
    random = np.random.default_rng(5)
    shared = np.eye(32)[0]

    def people(count: int) -> np.ndarray:
        vectors = random.normal(size=(count, 32)) / np.sqrt(32)
        return vectors + np.where(np.arange(count) % 2, 0.9, 0.0)[:, None] * shared

    def unit(vectors: np.ndarray) -> np.ndarray:
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    subjects = np.repeat(np.arange(40), 4)
    images = unit(people(40)[subjects] + 0.8 * random.normal(size=(160, 32)) / np.sqrt(32))
    trial = against_centroids(images, subjects, most_non_mated=100_000, seed=0)
    after = normalised_trial(trial, images, unit(people(200)), top=60)

    plain = eer(det(trial.comparisons.mated, trial.comparisons.non_mated))
    assert eer(det(after.mated, after.non_mated)) < plain
