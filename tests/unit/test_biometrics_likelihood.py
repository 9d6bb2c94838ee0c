"""Likelihood ratios: published values of their cost, and another library's logistic regression."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression

from streams.core.biometrics.likelihood import (
    ISOTONIC_FROM,
    at,
    cllr,
    cross_validated_cllr,
    fitted,
    logistic,
    min_cllr,
)

scores = st.lists(st.integers(-20, 20).map(lambda number: number / 20), min_size=2, max_size=40).map(np.array)


def gaussian(count, distance=2.0, seed=0):
    """Scores that are log-likelihood ratios: N(±d, 2d)."""
    random = np.random.default_rng(seed)
    return random.normal(distance, 2, count), random.normal(-distance, 2, count)


@given(st.integers(1, 9), st.integers(1, 9))
def test_ratios_that_say_nothing_cost_one_bit(mated, non_mated):
    assert cllr(np.zeros(mated), np.zeros(non_mated)) == 1.0


def test_well_calibrated_gaussian_ratios_cost_what_theory_says():
    """Mated N(2, 4), non-mated N(-2, 4): variance is twice the mean. Integrated over the density of either."""
    x = np.linspace(-30, 30, 600_001)
    density = np.exp(-((x - 2) ** 2) / 8) / np.sqrt(8 * np.pi)
    assert (density * np.log2(1 + np.exp(-x))).sum() * (x[1] - x[0]) == pytest.approx(0.514056, abs=1e-6)
    assert cllr(*gaussian(200_000)) == pytest.approx(0.514056, abs=0.004)


def test_ratios_that_mislead_cost_more_than_none():
    mated, non_mated = gaussian(1000)
    assert cllr(-mated, -non_mated) > 1


@given(scores, scores)
def test_the_best_map_costs_no_more_than_any_rising_one_and_no_more_than_none(mated, non_mated):
    best = min_cllr(mated, non_mated)

    assert best <= 1 + 1e-9
    assert best <= cllr(3 * mated - 0.5, 3 * non_mated - 0.5) + 1e-9
    assert best == pytest.approx(min_cllr(np.exp(mated), np.exp(non_mated)))


def test_scores_that_do_not_overlap_cost_nothing_at_best():
    assert min_cllr(np.array([0.7, 0.8]), np.array([0.1, 0.2, 0.3])) == 0.0


def test_the_logistic_map_is_the_one_that_scikit_learn_fits():
    mated, non_mated = gaussian(800)
    scored, label = np.concatenate([mated, non_mated[:300]])[:, None], np.repeat([1, 0], [800, 300])
    other = LogisticRegression(C=1e9, class_weight="balanced").fit(scored, label)

    slope, offset = logistic(mated, non_mated[:300])

    # Platt's targets pull a little towards the middle.
    assert slope == pytest.approx(other.coef_[0, 0], rel=0.03)
    assert offset == pytest.approx(other.intercept_[0], abs=0.03)


@pytest.mark.parametrize("count", [20, 2 * ISOTONIC_FROM])
def test_no_ratio_is_beyond_what_so_many_comparisons_can_show(count):
    random = np.random.default_rng(1)
    mated, non_mated = random.uniform(0.7, 0.9, count), random.uniform(-0.2, 0.4, count)

    ratios = at(fitted(mated, non_mated), np.linspace(-1, 1, 200))

    assert np.isfinite(ratios).all()
    assert np.abs(ratios).max() <= np.log(count + 1) + 1e-9
    assert ratios[-1] > 2 > -2 > ratios[0]


@pytest.mark.parametrize("count", [200, 2 * ISOTONIC_FROM])
def test_the_map_rises_and_is_calibrated_for_people_that_it_has_not_seen(count):
    mated, non_mated = gaussian(count)
    knots = fitted(mated, non_mated)

    assert (np.diff(knots[0]) > 0).all()
    assert (np.diff(knots[1]) >= 0).all()
    fresh = gaussian(20_000, seed=9)
    assert cllr(*(at(knots, each) for each in fresh)) == pytest.approx(0.514, abs=0.03)


def test_labels_the_wrong_way_round_give_ratios_that_say_nothing():
    mated, non_mated = gaussian(100)
    assert cllr(*(at(fitted(non_mated, mated), each) for each in (mated, non_mated))) == 1.0


def test_the_cost_is_judged_on_scores_that_the_map_was_not_fitted_to():
    """Of noise, what was fitted to looks better than what was not."""
    random = np.random.default_rng(3)
    mated, non_mated = random.normal(size=(2, 2000))
    folds = np.arange(2000) % 5, np.stack([np.arange(2000) % 5, np.arange(2000) % 5], axis=1)
    held_out = cross_validated_cllr(mated, non_mated, folds)

    assert held_out is not None
    assert held_out > cllr(*(at(fitted(mated, non_mated), each) for each in (mated, non_mated)))


def test_one_person_is_too_few_to_judge_it():
    mated, non_mated = gaussian(10)
    assert cross_validated_cllr(mated, non_mated, (np.zeros(10, int), np.zeros((10, 2), int))) is None
