"""Area resampling against its definition, pixel by pixel."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.facenet.area import bins, shrunk, squares

sides = st.integers(1, 40)
longer = st.integers(1, 200)
"""Of the longest of these, means are taken block by block."""


def by_definition(image, height, width):
    channels, rows, columns = image.shape
    result = np.empty((channels, height, width))
    for i in range(height):
        for j in range(width):
            top, bottom = i * rows // height, -(-(i + 1) * rows // height)
            left, right = j * columns // width, -(-(j + 1) * columns // width)
            result[:, i, j] = image[:, top:bottom, left:right].mean(axis=(1, 2))
    return result


@given(sides, sides)
def test_no_bin_is_empty_and_no_pixel_is_left_out(inputs, outputs):
    first, last = bins(inputs, outputs)
    assert (last > first).all()
    assert (first[0], last[-1]) == (0, inputs)
    assert (first[1:] <= last[:-1]).all()


@given(longer, longer, sides, sides, st.integers(0, 2**32 - 1))
def test_resampling_is_the_mean_over_what_a_pixel_covers(rows, columns, height, width, seed):
    images = np.random.default_rng(seed).uniform(0, 255, (2, 3, rows, columns)).astype(np.float32)
    shrunken = shrunk(images, height, width)
    for image, result in zip(images, shrunken, strict=True):
        np.testing.assert_allclose(result, by_definition(image, height, width), rtol=1e-4, atol=1e-3)


@given(st.lists(st.tuples(sides, sides), min_size=1, max_size=5), st.integers(1, 24), st.integers(0, 2**32 - 1))
def test_pieces_of_any_size_become_squares_each_for_itself(sizes, side, seed):
    random = np.random.default_rng(seed)
    pieces = [random.uniform(0, 255, (3, *size)).astype(np.float32) for size in sizes]
    for piece, square in zip(pieces, squares(pieces, side), strict=True):
        np.testing.assert_allclose(square, by_definition(piece, side, side), rtol=1e-4, atol=1e-3)


def test_a_strip_of_a_million_pixels_takes_memory_by_its_pixels_alone():
    # A matrix from one length to the other would have 10^11 entries.
    strip = np.arange(2**19, dtype=np.float32).reshape(1, 1, 1, -1)
    np.testing.assert_allclose(shrunk(strip, 1, 2**18)[0, 0, 0, :3], [0.5, 2.5, 4.5])


def test_an_image_of_the_right_size_stays_as_it_is():
    image = np.random.default_rng(1).uniform(0, 255, (1, 3, 7, 9)).astype(np.float32)
    np.testing.assert_allclose(shrunk(image, 7, 9), image, rtol=1e-6)
