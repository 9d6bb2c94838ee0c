"""One thing changed in a face, and nothing else: what an explanation must name."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter
from scipy.ndimage import map_coordinates

from streams.adapters.facenet.align import Affine, moved
from streams.core.faces import Pixels

Floats = npt.NDArray[np.float64]
Alteration = Callable[[Pixels, Affine], Pixels]
"""Takes a picture, and what takes an aligned face of side 1 to where it is seen there."""


def skin_darkened(picture: Pixels, place: Affine) -> Pixels:
    """Halve the light that the skin sends back, and leave everything around it."""
    x, y = _places(picture, place)
    skin = np.clip((1 - ((x - 0.5) / 0.42) ** 2 - ((y - 0.62) / 0.46) ** 2) * 3 + 0.5, 0, 1)[..., None]
    return _levels(picture * (1 - skin) + picture * 0.5 ** (1 / 2.2) * skin)


def mouth_moved(picture: Pixels, place: Affine) -> Pixels:
    """Shift the mouth sideways by a tenth of the face; what is around it stretches."""
    x, y = _places(picture, place)
    near = np.exp(-((((x - 0.5) ** 2 + (y - 0.85) ** 2) / 0.13**2 / 2) ** 2))
    across, down = place[:, :2] @ [0.1, 0]
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    at = [rows - near * down, columns - near * across]
    return _levels(
        np.stack(
            [map_coordinates(picture[..., k].astype(float), at, order=1, mode="nearest") for k in range(3)], axis=-1
        )
    )


def hair_replaced(picture: Pixels, place: Affine) -> Pixels:
    """Paint stripes over the forehead and the boundary of the hair."""
    x, y = _places(picture, place)
    band = ((y > -0.15) & (y < 0.2) & (x > 0.05) & (x < 0.95))[..., None]
    return _levels(np.where(band, np.where(np.sin(x * 40) > 0, 170.0, 60.0)[..., None], picture))


def blurred(picture: Pixels, place: Affine) -> Pixels:
    return np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(1.5)), dtype=np.uint8)


def darkened(picture: Pixels, place: Affine) -> Pixels:
    return _levels(picture * 0.5)


def noisy_as_film(picture: Pixels, place: Affine) -> Pixels:
    return _levels(picture + np.random.default_rng(0).normal(0, 25, picture.shape))


def unaltered(picture: Pixels, place: Affine) -> Pixels:
    return picture


def _places(picture: Pixels, place: Affine) -> tuple[Floats, Floats]:
    """Return where in an aligned face of side 1 each pixel lies: x and y, (H, W)."""
    back = np.linalg.inv(np.vstack([place, [0, 0, 1]]))[:2]
    rows, columns = np.mgrid[0 : picture.shape[0], 0 : picture.shape[1]]
    points = moved(np.stack([columns + 0.5, rows + 0.5], axis=-1).reshape(-1, 2), back)
    x, y = points.reshape(*rows.shape, 2).transpose(2, 0, 1)
    return x, y


def _levels(values: Floats) -> Pixels:
    return np.asarray(values.round().clip(0, 255), dtype=np.uint8)
