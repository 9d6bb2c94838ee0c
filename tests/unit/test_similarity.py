"""Similarity is cosine, larger is nearer, in [-1, 1], rounded to the unit of every limit."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from streams.core.faces import Embedding
from streams.core.similarity import DECIMALS, centroid, concentration, rounded, similarity, unit

finite = st.floats(-1e3, 1e3, width=32)
directed = arrays.arrays(np.float32, 8, elements=finite).filter(lambda vector: np.linalg.norm(vector) > 1e-3)
units = directed.map(unit)


@given(directed)
def test_unit_keeps_the_direction_and_gives_length_one(vector: Embedding) -> None:
    made = unit(vector)
    assert made.dtype == np.float32
    assert np.linalg.norm(made.astype(float)) == pytest.approx(1, abs=1e-6)
    np.testing.assert_allclose(made * np.linalg.norm(vector.astype(float)), vector, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_a_vector_without_a_direction_has_no_unit_vector(value: float) -> None:
    with pytest.raises(ValueError, match="expected a vector with a direction"):
        unit(np.full(4, value, np.float32))


@given(units, units)
def test_similarity_is_the_cosine_of_the_angle_whichever_way_round(a: Embedding, b: Embedding) -> None:
    # The chord between two unit vectors: |a - b|^2 = 2 - 2 cos.
    chord = np.linalg.norm(a.astype(float) - b.astype(float))
    assert similarity(a, b) == pytest.approx(1 - chord**2 / 2, abs=0.51 * 10**-DECIMALS)
    assert similarity(a, b) == similarity(b, a)


@given(units)
def test_a_vector_is_nearest_to_itself_and_farthest_from_its_opposite(vector: Embedding) -> None:
    assert similarity(vector, vector) == 1.0
    assert similarity(vector, -vector) == -1.0


@given(st.floats(-2, 2))
def test_a_rounded_similarity_is_clipped_and_within_half_a_step(value: float) -> None:
    clipped = min(1.0, max(-1.0, value))
    assert rounded(value) == pytest.approx(clipped, abs=0.5 * 10**-DECIMALS + 1e-12)
    assert rounded(rounded(value)) == rounded(value)
    assert -1 <= rounded(value) <= 1


@given(st.floats(-1, 1), st.floats(-1, 1))
def test_rounding_never_turns_an_order_round(a: float, b: float) -> None:
    assert (rounded(a) <= rounded(b)) if a <= b else (rounded(a) >= rounded(b))


def test_not_a_number_is_no_similarity() -> None:
    with pytest.raises(ValueError, match="NaN"):
        rounded(float("nan"))


def test_the_centroid_lies_in_the_middle_and_has_length_one() -> None:
    a, b = np.array([1, 0], np.float32), np.array([0, 1], np.float32)
    np.testing.assert_allclose(centroid([a, b]), [0.5**0.5, 0.5**0.5], atol=1e-7)


@given(st.lists(units, min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_references_does_not_move_concentration(references: list[Embedding], chance) -> None:
    shuffled = list(references)
    chance.shuffle(shuffled)
    assert concentration(shuffled) == pytest.approx(concentration(references), abs=1e-9)
    assert 0 <= concentration(references) <= 1 + 1e-6


@given(st.lists(units, min_size=1, max_size=6), st.randoms())
def test_the_order_of_the_references_does_not_move_the_centroid(references: list[Embedding], chance) -> None:
    assume(concentration(references) > 1e-3)
    shuffled = list(references)
    chance.shuffle(shuffled)
    np.testing.assert_allclose(centroid(shuffled), centroid(references), atol=1e-6)


@given(st.lists(units, min_size=1, max_size=6))
def test_concentration_is_the_mean_similarity_to_the_centroid(references: list[Embedding]) -> None:
    assume(concentration(references) > 1e-3)
    middle = centroid(references).astype(float)
    assert concentration(references) == pytest.approx(np.mean([each @ middle for each in references]), abs=1e-5)


def test_references_that_cancel_out_have_no_centroid() -> None:
    a = np.array([1, 0], np.float32)
    with pytest.raises(ValueError, match="direction"):
        centroid([a, -a])
    with pytest.raises(ValueError, match="at least one"):
        centroid([])


def test_concentration_is_one_for_equal_references_and_zero_for_opposite_ones() -> None:
    a = np.array([1, 0], np.float32)
    assert concentration([a, a, a]) == pytest.approx(1)
    assert concentration([a, -a]) == pytest.approx(0)
