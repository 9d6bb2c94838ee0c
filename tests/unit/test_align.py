"""Faces in one place: the transform against what it is defined by, and pixels that lie where it says."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from streams.adapters.facenet.align import TEMPLATE, aligned_face, moved, similarity_transform, warped
from streams.adapters.facenet.landmarks import BOX, LOOKS, SIDE, settle

ANY = st.integers(0, 2**32 - 1)


def transform(scale: float, angle: float, x: float, y: float) -> np.ndarray:
    cos, sin = scale * np.cos(angle), scale * np.sin(angle)
    return np.array([[cos, -sin, x], [sin, cos, y]])


def smooth(height: int, width: int) -> np.ndarray:
    """A picture that is bright where x and y are large: each pixel says where it is."""
    y, x = np.mgrid[0:height, 0:width]
    levels = np.stack([255 * x / width, 255 * y / height, np.full((height, width), 9.0)], axis=-1)
    return levels.round().astype(np.uint8)


@given(st.floats(0.1, 10), st.floats(-3, 3), st.floats(-50, 50), st.floats(-50, 50))
def test_a_similarity_transform_is_found_again_from_five_points(scale: float, angle: float, x: float, y: float):
    truth = transform(scale, angle, x, y)

    np.testing.assert_allclose(similarity_transform(TEMPLATE, moved(TEMPLATE, truth)), truth, atol=1e-9 * scale + 1e-9)


@given(ANY)
def test_no_other_rotation_scale_and_shift_comes_nearer(seed: int):
    random = np.random.default_rng(seed)
    target = random.normal(size=(5, 2))
    best = similarity_transform(TEMPLATE, target)

    def error(by: np.ndarray) -> float:
        return float(((moved(TEMPLATE, by) - target) ** 2).sum())

    for _ in range(20):
        change = transform(1 + random.normal() * 0.01, random.normal() * 0.01, *random.normal(size=2) * 0.01)
        other = change @ np.vstack([best, [0, 0, 1]])
        assert error(other) >= error(best) - 1e-9


def test_mirrored_points_are_not_met_by_a_mirror_image():
    found = similarity_transform(TEMPLATE, TEMPLATE * [-1, 1])

    assert np.linalg.det(found[:, :2]) > 0


@pytest.mark.parametrize("points", [np.full((5, 2), 7.0), np.full((5, 2), np.nan)])
def test_points_in_one_place_are_no_face(points: np.ndarray):
    assert aligned_face(points) is None
    if np.isfinite(points).all():
        with pytest.raises(ValueError, match="different places"):
            similarity_transform(TEMPLATE, points)


@pytest.mark.parametrize("scale", [0.3, 1.0, 1.9, 2.4])
def test_a_warped_pixel_is_the_one_that_lies_where_the_transform_says(scale: float):
    picture, by = smooth(100, 100), transform(scale, 0.3, 24, 6)

    square = warped(picture, by, 30).astype(float)

    x, y = np.meshgrid(np.arange(30) + 0.5, np.arange(30) + 0.5)
    where = moved(np.stack([x.ravel(), y.ravel()], axis=1), by).reshape(30, 30, 2)
    inside = (where > 4).all(axis=-1) & (where < 96).all(axis=-1)
    assert inside.sum() > 300
    # Pixel centres lie at halves, and half a pixel is 1.3 levels; Pillow rounds down, which is half a level.
    for axis in (0, 1):
        off = (square[..., axis] - 2.55 * (where[..., axis] - 0.5))[inside]
        assert abs(off.mean()) < 0.7
        assert np.abs(off).max() < 2


def test_what_lies_beyond_an_edge_looks_like_the_edge():
    picture = np.zeros((20, 20, 3), np.uint8)
    picture[:, -1] = 200

    square = warped(picture, transform(1, 0, 15, 0), 20)

    assert (square[:, 6:] == 200).all()
    assert (square[:, :3] == 0).all()


def test_shrinking_averages_instead_of_picking():
    """Every second pixel is white: who picks pixels sees black or white, who averages sees grey."""
    picture = np.zeros((200, 200, 3), np.uint8)
    picture[::2, ::2] = picture[1::2, 1::2] = 255

    assert np.abs(warped(picture, transform(4, 0, 0, 0), 40).astype(int) - 127).max() <= 2


def in_frame(points: np.ndarray, aligned: np.ndarray) -> np.ndarray:
    """Return points of the picture in parts of the square that the network sees of a face aligned like this."""
    left, top, side = BOX
    frame = np.vstack([aligned @ [[side, 0, left], [0, side, top], [0, 0, 1]], [0, 0, 1]])
    return moved(points, np.linalg.inv(frame)[:2])


class Sees:
    """Stands in for the network: knows where the points are in the picture, and where it was told to look."""

    def __init__(self, points: np.ndarray, start: np.ndarray) -> None:
        self.points = points
        self.looked = start
        self.faces: list[np.ndarray] = []

    def __call__(self, faces: np.ndarray) -> np.ndarray:
        self.faces.append(faces)
        upright = in_frame(self.points, self.looked)
        self.looked = aligned_face(self.points)
        mirrored = (upright * [-1, 1] + [1, 0])[[1, 0, 2, 4, 3]]
        return np.stack([upright, mirrored]).astype(np.float32)


@pytest.mark.parametrize("off", [0.0, 3.0, -5.0])
def test_wherever_a_face_is_first_looked_for_it_is_settled_where_its_landmarks_are(off: float):
    truth = transform(84, 0.1, 20, 22)
    start = truth + np.array([[0, 0, off], [0, 0, -off]])
    sees = Sees(moved(TEMPLATE, truth), start)

    [found] = settle([smooth(126, 126)], [start], sees)

    np.testing.assert_allclose(found, truth, atol=1e-3)
    assert len(sees.faces) == LOOKS


def test_the_network_sees_each_face_and_its_mirror_image_at_one_brightness_and_contrast():
    start = transform(84, 0, 21, 21)
    picture = smooth(126, 126)
    seen = []
    for shown in (picture, (picture * 0.5).astype(np.uint8)):
        sees = Sees(moved(TEMPLATE, start), start)
        settle([shown], [start], sees)
        seen.append(sees.faces[0])

    upright, mirrored = seen[0]
    assert upright.shape == (SIDE, SIDE, 3)
    np.testing.assert_allclose(mirrored, upright[:, ::-1], atol=1e-6)
    np.testing.assert_allclose(seen[0], seen[1], atol=0.03)
    assert upright.mean() == pytest.approx(0, abs=1e-5)


def test_points_that_say_nothing_leave_a_face_where_it_was():
    start = transform(84, 0, 21, 21)

    def nonsense(faces: np.ndarray) -> np.ndarray:
        return np.full((len(faces), 5, 2), np.nan, np.float32)

    [found] = settle([smooth(126, 126)], [start], nonsense)

    np.testing.assert_array_equal(found, start)
    assert settle([], [], nonsense) == []
