"""Pictures inside the report: small, re-encoded, and part of the file."""

import base64
import io
from dataclasses import dataclass

from PIL import Image, ImageOps

#: The longest side of a picture in the report, in pixels.
SIDE = 128
#: Pictures with more pixels are not opened.
MOST_PIXELS = 40_000_000

_QUALITY = 84


@dataclass(frozen=True)
class Picture:
    """An image as the report carries it."""

    uri: str
    """``data:image/jpeg;base64,…``."""
    width: int
    """Of the original, in pixels."""
    height: int


def picture(encoded: bytes | None) -> Picture | None:
    """Return the image scaled down to 128 pixels; None where there is none or it cannot be read."""
    if encoded is None:
        return None
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            if image.width * image.height > MOST_PIXELS:
                return None
            width, height = image.size
            small = ImageOps.contain(image.convert("RGB"), (SIDE, SIDE)) if max(image.size) > SIDE else image
            held = io.BytesIO()
            small.convert("RGB").save(held, "JPEG", quality=_QUALITY)
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return None
    return Picture("data:image/jpeg;base64," + base64.b64encode(held.getvalue()).decode(), width, height)
