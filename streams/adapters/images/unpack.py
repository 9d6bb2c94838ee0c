"""Encoded images to pixels. Runs in the decoder process, so it needs Pillow and numpy and nothing of ours.

What cannot be accepted is an outcome with a reason, never an exception. Colours are taken as they are written:
embedded colour profiles are not applied.
"""

import io
import struct
import zlib
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

Pixels = npt.NDArray[np.uint8]

#: Formats that are accepted. Each more is one more parser that strangers' bytes reach.
FORMATS = ("PNG", "JPEG", "WEBP")

#: The most pixels of an image: 4096 x 4096, in any shape.
MAX_PIXELS = 4096 * 4096

#: What Pillow raises, from one format or another, on bytes that are not an image or not a whole one.
_BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    AttributeError,
    struct.error,
    zlib.error,
)

#: EXIF tag 0x0112: how the camera was held, and what turns the pixels upright.
_ORIENTATION = 0x0112
_UPRIGHT = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True)
class Refusal:
    """Why bytes are not an image that we accept."""

    reason: Literal["image-undecodable", "image-too-large"]
    detail: str
    exception: str = ""
    """Class of the exception that says so; empty where none was raised."""


def unpack(encoded: bytes) -> Pixels | Refusal:
    """Return the pixels of a PNG, JPEG or WebP image, uint8 (H, W, 3), upright; limits are checked by its header.

    Of an animation it is the first frame. Transparency shows white behind it, as on a page. Sixteen bits a channel
    lose the lower eight. CMYK, palettes and grey become RGB.
    """
    return unpack_as(encoded, FORMATS)


def unpack_as(encoded: bytes, formats: tuple[str, ...]) -> Pixels | Refusal:
    """Return the pixels of an image in one of Pillow's ``formats``, as ``unpack`` does."""
    try:
        with Image.open(io.BytesIO(encoded), formats=formats) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return _too_many_pixels(f"{width} x {height}")
            image.load()
            return _without_white(image) or _upright_rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        return _too_many_pixels("a header that says so many", type(error).__name__)
    except _BROKEN as error:
        name = type(error).__name__
        expected = ", ".join(formats) if formats is FORMATS else "any known format"
        return Refusal("image-undecodable", f"not a whole image of {expected}: {name}", name)


def _too_many_pixels(size: str, exception: str = "") -> Refusal:
    return Refusal("image-too-large", f"{size}; allowed are {MAX_PIXELS} pixels", exception)


def _without_white(image: Image.Image) -> Refusal | None:
    """Refuse numbers of which nobody says which one is white: floats, and integers that 16 bits do not hold."""
    if image.mode == "F" or (image.mode == "I" and not _in_16_bits(image)):
        return Refusal("image-undecodable", "its numbers are not of 8 or 16 bits a channel: save it with one of these")
    return None


def _in_16_bits(image: Image.Image) -> bool:
    values = np.asarray(image)
    return bool(values.min() >= 0 and values.max() < 1 << 16)


def _upright_rgb(image: ImageFile.ImageFile) -> Pixels:
    turn = _UPRIGHT.get(_orientation(image))
    rgb = _rgb(image)
    if turn is not None:
        rgb = rgb.transpose(turn)
    return np.array(rgb, dtype=np.uint8)


def _orientation(image: Image.Image) -> int:
    """Return the EXIF orientation; broken EXIF spoils no picture and says nothing."""
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _BROKEN:
        return 1
    return value if isinstance(value, int) else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data and not image.mode.startswith("I"):
        overlay = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", overlay.size, "white"), overlay).convert("RGB")
    if image.mode.startswith("I"):
        # Grey with 16 bits: Pillow would clip it at 255.
        return Image.fromarray((np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)).convert("RGB")
    return image.convert("RGB")
