"""Encoded images to pixels, under limits that are checked before a pixel is unpacked; and pixels to PNG.

What cannot be accepted is an outcome with a reason, never an exception. Colours are taken as they are written:
embedded colour profiles are not applied.
"""

import io
import struct
import zlib

import numpy as np
from PIL import Image, ImageFile

from streams.core.faces import Pixels, Undecodable
from streams.events import DeadReason

#: Formats that are accepted. Each more is one more parser that strangers' bytes reach.
FORMATS = ("PNG", "JPEG", "WEBP")

#: The most bytes of an encoded image.
MAX_BYTES = 10 * 1000 * 1000

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


def decode(encoded: bytes) -> Pixels | Undecodable:
    """Return the pixels of a PNG, JPEG or WebP image, upright, or say why not.

    Of an animation it is the first frame. Transparency shows white behind it, as on a page. Sixteen bits a channel
    lose the lower eight. CMYK, palettes and grey become RGB.
    """
    if len(encoded) > MAX_BYTES:
        return Undecodable(DeadReason.IMAGE_TOO_LARGE, f"{len(encoded)} bytes; allowed are {MAX_BYTES}")
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return _too_many_pixels(f"{width} x {height}")
            image.load()
            return _upright_rgb(image)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        return _too_many_pixels("a header that says so many")
    except _BROKEN as error:
        detail = f"not a whole image of {', '.join(FORMATS)}: {type(error).__name__}"
        return Undecodable(DeadReason.IMAGE_UNDECODABLE, detail)


def encode_png(pixels: Pixels) -> bytes:
    """Return the pixels as PNG: lossless, and the same pixels always give the same bytes.

    Raises:
        ValueError: If it is not uint8 of shape (H, W, 3).
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"expected uint8 of shape (H, W, 3), got {pixels.dtype} of shape {pixels.shape}")
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, "PNG")
    return sink.getvalue()


def _too_many_pixels(size: str) -> Undecodable:
    return Undecodable(DeadReason.IMAGE_TOO_LARGE, f"{size}; allowed are {MAX_PIXELS} pixels")


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
