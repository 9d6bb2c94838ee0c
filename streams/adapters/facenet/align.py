"""A face in one place: turned, scaled and shifted so that eyes, nose and mouth lie where they always lie."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from streams.core.faces import Pixels

Points = npt.NDArray[np.float64]
"""Shape (n, 2): x and y."""
Affine = npt.NDArray[np.float64]
"""Shape (2, 3): takes (x, y, 1) to (x, y)."""

#: Eyes, nose and mouth corners in an aligned face of side 1: ArcFace's (Deng et al., 2019), given there on 112 pixels.
TEMPLATE: Points = (
    np.array([[38.2946, 51.6963], [73.5318, 51.5014], [56.0252, 71.7366], [41.5493, 92.3655], [70.7299, 92.2041]]) / 112
)


def similarity_transform(source: Points, target: Points) -> Affine:
    """Return the rotation, scale and shift that takes ``source`` to ``target`` with the least squared error.

    Umeyama, "Least-squares estimation of transformation parameters between two point patterns" (1991), equations 39-43.

    Raises:
        ValueError: If the points of either lie all in one place.

    >>> similarity_transform(np.array([[0, 0], [1, 0], [0, 1]]), np.array([[5, 7], [7, 7], [5, 9]])).round(6).tolist()
    [[2.0, 0.0, 5.0], [0.0, 2.0, 7.0]]
    """
    source_mean, target_mean = source.mean(axis=0), target.mean(axis=0)
    source_off, target_off = source - source_mean, target - target_mean
    spread = float((source_off**2).sum()) / len(source)
    if not (spread > 0 and float((target_off**2).sum()) > 0):
        raise ValueError("expected points in different places, got all in one")
    u, d, v = np.linalg.svd(target_off.T @ source_off / len(source))
    sign = np.array([1.0, np.sign(np.linalg.det(u) * np.linalg.det(v))])  # a rotation, never a reflection
    turned = (d * sign).sum() / spread * (u * sign) @ v
    return np.column_stack([turned, target_mean - turned @ source_mean])


def aligned_face(points: Points) -> Affine | None:
    """Return what takes an aligned face of side 1 to where its five points are; None where they are in no face."""
    if not (np.isfinite(points).all() and np.ptp(points, axis=0).any()):
        return None
    return similarity_transform(TEMPLATE, points)


def moved(points: Points, by: Affine) -> Points:
    """Return the points, each taken through the transform."""
    return np.asarray(points @ by[:, :2].T + by[:, 2])


def warped(pixels: Pixels, to_image: Affine, side: int) -> Pixels:
    """Return a square of ``side`` pixels; ``to_image`` takes its points to where in ``pixels`` they are seen.

    Bilinear; of an image that is shrunk to it by two and more, whole pixels are averaged before. What lies beyond an
    edge of the image looks like the edge.
    """
    shrunken, to_image = _shrunken(pixels, to_image)
    corners = moved(np.array([[0, 0], [side, 0], [0, side], [side, side]]), to_image)
    left, top = np.floor(corners.min(axis=0)).astype(int) - 1
    right, bottom = np.ceil(corners.max(axis=0)).astype(int) + 1
    rows = shrunken.take(np.arange(top, bottom), axis=0, mode="clip")
    region = Image.fromarray(rows.take(np.arange(left, right), axis=1, mode="clip"))
    (a, b, c), (d, e, f) = to_image - np.array([[0, 0, left], [0, 0, top]])
    square = region.transform((side, side), Image.Transform.AFFINE, (a, b, c, d, e, f), Image.Resampling.BILINEAR)
    return np.array(square, dtype=np.uint8)


def _shrunken(pixels: Pixels, to_image: Affine) -> tuple[Pixels, Affine]:
    factor = int(abs(np.linalg.det(to_image[:, :2])) ** 0.5 + 1e-6)
    if factor < 2:
        return pixels, to_image
    return np.array(Image.fromarray(pixels).reduce(factor), dtype=np.uint8), to_image / factor
