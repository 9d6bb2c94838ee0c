"""The fitted tail: exact where the answer is known, and silent where there is nothing to fit."""

import numpy as np
import pytest

from streams.core.biometrics.tail import tail


@pytest.mark.parametrize("seed", range(3))
def test_it_reaches_beyond_the_data_where_the_distribution_is_known(seed):
    """P(x >= t) = e^-t, of 4,000 draws: one in 100,000 is at 11.5, where none was drawn for certain."""
    fitted = tail(np.random.default_rng(seed).exponential(size=4000))
    assert fitted is not None
    assert fitted.shape == pytest.approx(0, abs=0.25)
    assert fitted.threshold(1e-3) == pytest.approx(np.log(1e3), rel=0.1)
    assert fitted.threshold(1e-5) == pytest.approx(np.log(1e5), rel=0.35)


def test_rate_and_threshold_are_inverses():
    fitted = tail(np.random.default_rng(1).normal(size=2000))
    assert fitted is not None
    for rate in (0.02, 1e-3, 1e-6):
        assert fitted.rate(fitted.threshold(rate)) == pytest.approx(rate)


def test_in_the_tail_it_agrees_with_what_was_counted():
    scores = np.random.default_rng(2).normal(size=20_000)
    fitted = tail(scores)
    assert fitted is not None
    assert fitted.rate(2.5) == pytest.approx((scores >= 2.5).mean(), rel=0.15)


@pytest.mark.parametrize("scores", [np.linspace(0, 1, 30), np.full(1000, 0.3)])
def test_there_is_none_of_too_few_scores_and_of_equal_ones(scores):
    assert tail(scores) is None
