"""The test for copying over many samples: its sign, its size, and another library's."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu, norm

from streams.core.metrics.copying import copying_z


def test_a_copier_is_far_below_zero_and_an_honest_generator_near_it():
    random = np.random.default_rng(0)
    held_out = random.gamma(9, size=400)
    assert copying_z(0.1 * held_out, held_out) < -20
    assert abs(copying_z(random.gamma(9, size=400), held_out)) < 3
    assert copying_z(held_out + 5, held_out) > 10


@pytest.mark.parametrize(("n", "m"), [(1, 1), (2, 3), (40, 25)])
def test_a_generator_that_is_always_nearer_has_the_least_z_that_there_is(n, m):
    # U = 0: z = -(nm / 2) / sqrt(nm (n + m + 1) / 12).
    assert copying_z(np.zeros(n), np.ones(m)) == pytest.approx(-np.sqrt(3 * n * m / (n + m + 1)))


@given(st.integers(0, 10_000))
def test_without_ties_it_is_the_z_of_scipys_test(seed):
    random = np.random.default_rng(seed)
    generated, held_out = random.normal(0, 1, 30), random.normal(0.3, 1, 20)
    p = mannwhitneyu(generated, held_out, alternative="less", method="asymptotic", use_continuity=False).pvalue
    assert copying_z(generated, held_out) == pytest.approx(norm.ppf(p))


@given(st.lists(st.integers(0, 5), min_size=1, max_size=20), st.lists(st.integers(0, 5), min_size=1, max_size=20))
def test_swapping_the_sides_changes_the_sign_and_equal_ones_give_zero(generated, held_out):
    a, b = np.array(generated, float), np.array(held_out, float)
    assert copying_z(a, b) == pytest.approx(-copying_z(b, a))
    assert copying_z(a, a) == pytest.approx(0)


def test_nothing_can_be_tested_without_distances():
    with pytest.raises(ValueError, match="got 0 and 3"):
        copying_z(np.array([]), np.ones(3))
