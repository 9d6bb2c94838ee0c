"""Area resampling against its definition, pixel by pixel."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.area import bins, shrunk, squares

sides = st.integers(1, 40)


def by_definition(image, height, width):
    rows, columns, channels = image.shape
    result = np.empty((height, width, channels))
    for i in range(height):
        for j in range(width):
            top, bottom = i * rows // height, -(-(i + 1) * rows // height)
            left, right = j * columns // width, -(-(j + 1) * columns // width)
            result[i, j] = image[top:bottom, left:right].mean(axis=(0, 1))
    return result


@given(sides, sides)
def test_every_bin_is_a_mean_and_no_pixel_is_left_out(inputs, outputs):
    weights = bins(inputs, outputs)
    assert weights.sum(axis=1) == pytest.approx(1)
    assert (weights > 0).any(axis=0).all()


@given(sides, sides, sides, sides, st.integers(0, 2**32 - 1))
def test_resampling_is_the_mean_over_what_a_pixel_covers(rows, columns, height, width, seed):
    images = np.random.default_rng(seed).uniform(0, 255, (2, rows, columns, 3)).astype(np.float32)
    shrunken = shrunk(images, height, width)
    for image, result in zip(images, shrunken, strict=True):
        np.testing.assert_allclose(result, by_definition(image, height, width), rtol=1e-4, atol=1e-3)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5), st.integers(1, 24), st.integers(0, 2**32 - 1))
def test_pieces_of_any_size_become_squares_each_for_itself(sizes, side, seed):
    random = np.random.default_rng(seed)
    pieces = [random.uniform(0, 255, (*size, 3)).astype(np.float32) for size in sizes]
    for piece, square in zip(pieces, squares(pieces, side), strict=True):
        np.testing.assert_allclose(square, by_definition(piece, side, side), rtol=1e-4, atol=1e-3)


def test_an_image_of_the_right_size_stays_as_it_is():
    image = np.random.default_rng(1).uniform(0, 255, (1, 7, 9, 3)).astype(np.float32)
    np.testing.assert_array_equal(shrunk(image, 7, 9), image)
