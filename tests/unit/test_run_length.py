"""Average run lengths, against the tables that were published, and against charts that are run."""

import numpy as np
import pytest

from streams.core.drift import statistics
from streams.core.drift.mewma_run_length import mewma_arl
from streams.core.drift.run_length import cusum_arl, ewma_arl, two_sided_cusum_arl

#: Half of the last printed digit, and a little for tables that were computed by Markov chains.
PRINTED = 1.2e-2


@pytest.mark.parametrize(
    ("limit", "k", "mean", "start", "arl"),
    [
        (3, 0.5, 0.0, 0.0, 117.59),  # Brook and Evans (1972)
        (3, 0.5, 1.5, 0.0, 3.75),
        (3, 0.5, -0.5, 0.0, 1963),  # Waldmann (1986)
        (3, 0.5, 0.5, 0.0, 17.35),
        (4, 0.5, 0.0, 0.0, 335.4),
        (5, 0.5, 0.0, 0.0, 930.9),
        (10, 0.0, -0.25, 0.0, 2071.5),  # Vance (1986)
        (10, 0.0, 0.0, 0.0, 124.66),
        (10, 0.0, 1.0, 0.0, 10.75),
        (8, 0.25, 2.5, 0.0, 4.1500836225),  # SAS/QC (1999)
        (8, 0.25, 2.5, 0.1, 4.1061588131),
    ],
)
def test_a_one_sided_cusum_runs_as_long_as_published(limit, k, mean, start, arl):
    assert cusum_arl(limit, k=k, mean=mean, start=start) == pytest.approx(arl, rel=3e-4)


def test_a_cusum_of_values_with_another_spread_is_that_of_standard_values():
    assert cusum_arl(6, k=1, mean=2, sd=2, start=3) == pytest.approx(cusum_arl(3, k=0.5, mean=1, start=1.5), rel=1e-12)


MEANS = (0, 0.25, 0.5, 0.75, 1, 1.5, 2, 2.5, 3, 4, 5)
#: Lucas and Crosier (1982), table 1: k = 0.5, h = 4.
PLAIN = (168, 74.2, 26.6, 13.3, 8.38, 4.75, 3.34, 2.62, 2.19, 1.71, 1.31)
AHEAD = (149, 62.7, 20.1, 8.97, 5.29, 2.86, 2.01, 1.59, 1.32, 1.07, 1.01)


@pytest.mark.parametrize(("mean", "plain", "ahead"), [*zip(MEANS, PLAIN, AHEAD, strict=True)])
def test_a_two_sided_cusum_runs_as_long_as_published_with_and_without_a_head_start(mean, plain, ahead):
    assert two_sided_cusum_arl(4, mean=mean) == pytest.approx(plain, rel=4e-3)
    assert two_sided_cusum_arl(4, mean=mean, head_start=True) == pytest.approx(ahead, rel=4e-3, abs=6e-3)


@pytest.mark.parametrize(
    ("k", "limit", "arl"),  # Hawkins' pairs for about 370 windows, both sides
    [(0.25, 8.01, 370.3), (0.5, 4.77, 368.6), (0.75, 3.34, 370.6), (1, 2.52, 372.8), (1.5, 1.61, 376.3)],
)
def test_hawkins_pairs_run_as_long_as_computed(k, limit, arl):
    assert two_sided_cusum_arl(limit, k=k) == pytest.approx(arl, rel=2e-3)


@pytest.mark.parametrize(
    ("weight", "width", "arls"),  # Lucas and Saccucci (1990), table 1, in the order of MEANS
    [
        (0.5, 3.071, (500, 255, 88.8, 35.9, 17.5, 6.53, 3.63, 2.50, 1.93)),
        (0.03, 2.437, (500, 76.7, 29.3, 17.6, 12.6, 8.07, 5.99, 4.80, 4.03)),
    ],
)
def test_an_ewma_runs_as_long_as_published(weight, width, arls):
    computed = [ewma_arl(width, weight=weight, mean=mean) for mean in MEANS[: len(arls)]]
    assert computed == pytest.approx(arls, rel=3e-3)
    assert ewma_arl(3, weight=0.25, mean=1) == pytest.approx(11.154267016, rel=1e-9)  # SAS/QC (1999)


@pytest.mark.parametrize(
    ("dimensions", "limit", "arls"),  # Molnau et al. (2001), r = 0.1, by a Markov chain; by the length of the shift
    [
        (4, 12.73, {0: 199.78, 0.5: 35.05, 1: 12.17, 1.5: 7.22, 2: 5.19, 3: 3.42}),
        # At half a standard deviation they have 61.62, 2 % below the integral equation's 62.89 and charts that are run.
        (20, 37.01, {0: 199.09, 1: 20.17, 1.5: 11.40, 2: 8.03, 3: 5.18}),
    ],
)
def test_a_mewma_runs_as_long_as_published(dimensions, limit, arls):
    computed = {shift: mewma_arl(limit, dimensions=dimensions, shift=shift) for shift in arls}
    assert computed == pytest.approx(arls, rel=PRINTED)


def test_a_mewma_in_control_runs_as_long_as_knoth_computed():
    weights, limits = (0.25, 0.2, 0.15, 0.1, 0.05), (15.82, 15.62, 15.31, 14.76, 13.60)
    arls = [mewma_arl(h, dimensions=3, weight=r) for r, h in zip(weights, limits, strict=True)]
    assert arls == pytest.approx([1000] * 5, rel=3e-3)  # Knoth (2017)


def run_length_of_cusum(rng: np.random.Generator, limit: float, mean: float, start: float) -> int:
    value, windows = start, 0
    while value <= limit:
        value, windows = statistics.cusum(value, rng.normal(mean), k=0.5, limit=limit), windows + 1
    return windows


@pytest.mark.parametrize(("mean", "start"), [(0.0, 0.0), (1.0, 0.0), (1.0, 1.5)])
def test_our_cusum_runs_as_long_as_the_solver_says(mean, start):
    rng = np.random.default_rng(20300101)
    runs = [run_length_of_cusum(rng, 3.0, mean, start) for _ in range(2000)]
    error = np.std(runs) / np.sqrt(len(runs))
    assert np.mean(runs) == pytest.approx(cusum_arl(3.0, mean=mean, start=start), abs=3 * error)


@pytest.mark.parametrize("shift", [0.0, 1.0])
def test_our_mewma_runs_as_long_as_the_solver_says(shift):
    rng, runs = np.random.default_rng(20300102), []
    for _ in range(300):
        values: tuple[float, ...] = ()
        windows, t2 = 0, 0.0
        while t2 <= 8.0:
            y = rng.normal(size=3) + np.array([shift, 0, 0])
            values = statistics.mewma(values, y, weight=0.1)
            windows, t2 = windows + 1, statistics.t_squared(values, weight=0.1)
        runs.append(windows)
    error = np.std(runs) / np.sqrt(len(runs))
    assert np.mean(runs) == pytest.approx(mewma_arl(8.0, dimensions=3, shift=shift), abs=3 * error)


def test_our_ewma_runs_as_long_as_the_solver_says():
    rng, runs, limit = np.random.default_rng(20300103), [], 2.0 * np.sqrt(0.5 / 1.5)
    for _ in range(2000):
        value, windows = 0.0, 0
        while abs(value) <= limit:
            value, windows = statistics.ewma(value, rng.normal(), weight=0.5), windows + 1
        runs.append(windows)
    error = np.std(runs) / np.sqrt(len(runs))
    assert np.mean(runs) == pytest.approx(ewma_arl(2.0, weight=0.5), abs=3 * error)  # 26.45: Crowder (1987)
