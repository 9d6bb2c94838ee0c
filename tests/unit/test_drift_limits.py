"""Limits: as long as promised where the law is known, and for nine of ten calibrations where it is estimated."""

import numpy as np
import pytest
from scipy.special import ndtri

from streams.core.drift.calibration import PART_OF_CALIBRATION
from streams.core.drift.limits import (
    CONFIDENCE,
    cusum_limit,
    guaranteed_cusum_limit,
    mewma_limit,
)
from streams.core.drift.run_length import cusum_arl


@pytest.mark.parametrize(
    ("arl", "limit"), [(200, 3.502), (370, 4.095), (500, 4.389), (1000, 5.071), (10_000, 7.361), (1_000_000, 11.964)]
)
def test_a_limit_comes_from_the_run_length_that_is_wanted(arl, limit):
    assert cusum_limit(arl) == pytest.approx(limit, abs=1e-3)


@pytest.mark.parametrize(
    ("dimensions", "weight", "limit"), [(4, 0.1, 15.17), (8, 0.1, 22.44), (10, 0.05, 24.11), (10, 0.2, 26.88)]
)
def test_the_limit_of_a_mewma_comes_from_the_run_length_too(dimensions, weight, limit):
    assert mewma_limit(500, dimensions=dimensions, weight=weight) == pytest.approx(limit, abs=0.02)


def test_a_smaller_calibration_and_a_longer_run_length_want_a_higher_limit():
    limits = [guaranteed_cusum_limit(arl, k=0.5, scores=scores) for arl, scores in ((500, 1000), (500, 50), (5000, 50))]
    assert limits == sorted(limits)
    assert limits[0] > cusum_limit(500)


def test_of_ten_calibrations_nine_run_as_long_as_promised():
    limit, rng = guaranteed_cusum_limit(500, k=0.5, scores=100), np.random.default_rng(1)
    draws = 400
    off_by = rng.normal(0, 1 / np.sqrt(PART_OF_CALIBRATION), draws)
    spreads = rng.normal(1, 1 / np.sqrt(2 * 100), draws)
    long_enough = np.mean([cusum_arl(limit, mean=mean, sd=sd) >= 500 for mean, sd in zip(off_by, spreads, strict=True)])
    assert long_enough == pytest.approx(CONFIDENCE, abs=3 * np.sqrt(CONFIDENCE * (1 - CONFIDENCE) / draws))


def test_normal_scores_are_off_by_what_the_limits_allow_for():
    """Given its calibration, a score's mean is off by N(0, 1/m), and its standard deviation by N(0, 1/2m)."""
    m, draws, rng = 200, 2000, np.random.default_rng(2)
    scores = ndtri((np.arange(m + 1) + 0.5) / (m + 1))
    edges = np.sort(rng.uniform(size=(draws, m)), axis=1)
    shares = np.diff(edges, axis=1, prepend=0, append=1)  # how likely a new sample falls into each gap
    means = shares @ scores
    spreads = np.sqrt(shares @ scores**2 - means**2)
    off = 3 * np.sqrt(2 / draws)  # three standard errors of a variance, as a part of it
    assert np.var(means) * m == pytest.approx(1, abs=off)
    assert np.var(spreads) * 2 * m <= 1 + off  # the tails of ranks are short, so that is less
    assert np.mean(spreads) == pytest.approx(1, abs=0.02)


def test_a_run_length_that_cannot_be_computed_is_refused():
    with pytest.raises(ValueError, match=r"expected a run length between 1 and 1e\+12 windows, got 1e\+15"):
        guaranteed_cusum_limit(1e15, k=0.5, scores=100)
