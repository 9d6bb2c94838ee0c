"""A face as the embedder takes it: cut out of the image, and its pixels normalised."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from streams.core.faces import Pixels

Floats = npt.NDArray[np.float32]

#: Side of the crop that FaceNet takes, in pixels.
SIDE = 160

#: facenet-pytorch's own way with a PIL image: corners cut down to whole pixels, then Pillow's bilinear, which averages
#: when it shrinks. (Its ways with arrays and tensors are area averages, and move an embedding.)
ALIGNMENT = f"box, margin 0, clipped, corners truncated, {SIDE} x {SIDE}, Pillow bilinear"


def cut_out(pixels: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    """Return the box as uint8 (160, 160, 3); the box lies within the image."""
    left, top, right, bottom = (int(corner) for corner in box)
    face = Image.fromarray(np.ascontiguousarray(pixels[top:bottom, left:right]))
    return np.array(face.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def whitened(crops: Pixels) -> Floats:
    """Return (x - mean) / max(std, 1 / sqrt(n)) of each crop over its n values, as FaceNet's authors' code had it."""
    faces = np.empty(crops.shape, dtype=np.float32)
    for crop, face in zip(crops, faces, strict=True):
        np.subtract(crop, np.float32(crop.mean()), out=face)
        face /= np.float32(max(np.vdot(face, face) / crop.size, 1 / crop.size) ** 0.5)
    return faces


def standardised(crops: Pixels) -> Floats:
    """Return (x - 127.5) / 128, what facenet-pytorch's own networks take."""
    return np.asarray((crops.astype(np.float32) - 127.5) / 128.0, dtype=np.float32)


def sharpness(crop: Pixels) -> float:
    """Return the variance of the Laplacian (four neighbours) of the crop's grey (ITU-R BT.601): small is blurred."""
    grey = crop.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4.0 * grey[1:-1, 1:-1]
    return float(laplacian.var())
