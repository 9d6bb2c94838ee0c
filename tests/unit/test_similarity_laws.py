"""Laws of nearness that hold for any vectors."""

import math

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from streams.core.similarity import DECIMALS, centroid, concentration, rounded, similarity, unit

raw = arrays(np.float32, 8, elements=st.floats(-100, 100, width=32))
vectors = raw.filter(lambda vector: np.linalg.norm(vector) > 1e-3).map(unit)


@given(vectors, vectors)
def test_similarity_is_symmetric_and_between_minus_one_and_one(a, b):
    assert similarity(a, b) == similarity(b, a)
    assert -1 <= similarity(a, b) <= 1


@given(vectors)
def test_nothing_is_nearer_than_itself_nor_further_than_its_opposite(a):
    assert similarity(a, a) == 1
    assert similarity(a, -a) == -1


@given(vectors, vectors)
def test_similarity_is_the_cosine_to_half_a_rounding_step(a, b):
    angle = 2 * math.atan2(np.linalg.norm(a.astype(float) - b), np.linalg.norm(a.astype(float) + b))

    assert abs(similarity(a, b) - math.cos(angle)) <= 0.51 * 10**-DECIMALS


@given(st.lists(vectors, min_size=1, max_size=6), st.randoms(use_true_random=False))
def test_the_order_of_the_references_does_not_move_the_centroid(references, random):
    assume(concentration(references) > 1e-3)
    shuffled = list(references)
    random.shuffle(shuffled)

    assert np.allclose(centroid(shuffled), centroid(references), atol=1e-6)


@given(st.lists(vectors, min_size=1, max_size=6))
def test_concentration_is_the_mean_similarity_to_the_centroid(references):
    assume(concentration(references) > 1e-3)
    middle = centroid(references).astype(float)

    assert concentration(references) == pytest.approx(np.mean([each @ middle for each in references]), abs=1e-5)
    assert 0 <= concentration(references) <= 1 + 1e-6


@pytest.mark.parametrize("vector", [np.zeros(8), np.full(8, np.nan), np.array([np.inf] + [0] * 7)])
def test_a_vector_without_a_direction_has_no_unit(vector):
    with pytest.raises(ValueError, match="direction"):
        unit(vector.astype(np.float32))


def test_references_that_cancel_out_have_no_centroid():
    with pytest.raises(ValueError, match="direction"):
        centroid([unit(np.array([1, 0], np.float32)), unit(np.array([-1, 0], np.float32))])


@pytest.mark.parametrize(
    ("value", "expected"), [(1.00001, 1.0), (-1.00001, -1.0), (0.12345, 0.1235), (0.12344, 0.1234)]
)
def test_similarities_are_clipped_and_rounded(value, expected):
    assert rounded(value) == pytest.approx(expected, abs=1e-12)


def test_a_similarity_is_never_nan():
    with pytest.raises(ValueError, match="NaN"):
        rounded(math.nan)
