"""Conformal p-values keep what they promise, and say what so few samples cannot tell."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.biometrics.conformal import false_flags, limit, p_value, smallest

values = st.lists(st.integers(0, 50).map(lambda number: number / 50), min_size=1, max_size=60).map(np.array)


def test_a_good_sample_has_a_p_value_of_five_per_cent_or_less_one_time_in_twenty():
    """With n = 19 the smallest p-value is 1/20, and a fresh sample is the smallest of 20 one time in 20."""
    random = np.random.default_rng(7)
    trials = random.normal(size=(20_000, 20))
    hits = np.mean([p_value(row[:19], row[19]) <= 0.05 for row in trials])
    assert hits == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 20_000))


@pytest.mark.parametrize(("count", "alpha"), [(19, 0.05), (99, 0.01), (999, 0.001)])
def test_so_many_samples_are_needed_for_a_share_and_one_fewer_is_too_few(count, alpha):
    assert smallest(count) == pytest.approx(alpha)
    assert limit(np.linspace(0, 1, count), alpha) is not None
    assert limit(np.linspace(0, 1, count - 1), alpha) is None


@given(values, st.sampled_from([0.05, 0.1, 0.2, 0.5]), st.integers(0, 50))
def test_a_sample_is_under_the_limit_exactly_where_its_p_value_is_small(accepted, alpha, number):
    score, at = number / 50, limit(accepted, alpha)
    assert (p_value(accepted, score) <= alpha + 1e-9) == (at is not None and score < at)


@given(values, st.floats(-1, 2), st.floats(0, 1))
def test_a_nearer_sample_never_has_a_smaller_p_value(accepted, score, more):
    assert p_value(accepted, score) <= p_value(accepted, score + more)


@pytest.mark.parametrize(("count", "low", "high"), [(100, 0.020, 0.089), (1000, 0.039, 0.062)])
def test_the_share_that_a_limit_flags_is_as_uncertain_as_its_calibration_is_small(count, low, high):
    assert false_flags(count, 0.05) == pytest.approx((low, high), abs=0.0006)
