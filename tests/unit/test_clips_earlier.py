"""Robust standard deviations, computed."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.core.clips.earlier import FEWEST, robust_z


@pytest.mark.parametrize(
    ("value", "others", "z"),
    [
        (3.0, [1, 2, 3, 4, 5], 0.0),
        (3 + 1.4826, [1, 2, 3, 4, 5], 1.0),  # median 3, median absolute deviation 1
        (3 - 2 * 1.4826, [5, 4, 3, 2, 1], -2.0),
        (3 + 1.4826, [1, 2, 3, 4, 1e9], 1.0),  # one that is far out moves nothing
        (9.0, [2, 2, 2, 2, 2], None),
        (9.0, [1, 2, 3, 4], None),
    ],
)
def test_a_value_is_so_many_robust_standard_deviations_away(value, others, z):
    assert robust_z(value, others) == z


VALUES = st.lists(st.integers(-1000, 1000).map(float), min_size=FEWEST, max_size=30)


@given(VALUES, st.integers(-1000, 1000), st.randoms())
def test_the_order_of_the_others_changes_nothing(others, value, random):
    shuffled = random.sample(others, len(others))
    assert robust_z(float(value), shuffled) == robust_z(float(value), others)
