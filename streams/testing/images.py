"""An image store in memory, and pictures in which the stand-in examiner sees a face."""

import hashlib
import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from streams.core.faces import Embedding, Pixels
from streams.core.similarity import unit
from streams.errors import ImageAltered, ImageMissing
from streams.events import ImageRef

#: Values of the vector that a picture shows.
DIMENSION = 8


class MemoryImages:
    """Keeps the promises of ``ports.Images`` for one process. Tests may alter or lose what it holds."""

    def __init__(self) -> None:
        """Start empty."""
        self.held: dict[str, bytes] = {}
        """Encoded images by the SHA-256 under which they were stored."""

    async def put(self, encoded: bytes) -> ImageRef:
        ref = ImageRef(sha256=hashlib.sha256(encoded).hexdigest(), size=len(encoded))
        self.held[ref.sha256] = encoded
        return ref

    async def put_pixels(self, pixels: Pixels) -> ImageRef:
        return await self.put(png(pixels))

    async def find(self, sha256: str) -> ImageRef | None:
        held = self.held.get(sha256)
        return None if held is None else ImageRef(sha256=sha256, size=len(held))

    async def remove(self, sha256: str) -> bool:
        return self.held.pop(sha256, None) is not None

    async def get(self, ref: ImageRef) -> bytes:
        if ref.sha256 not in self.held:
            raise ImageMissing(f"the image store has no image {ref.sha256}")
        encoded = self.held[ref.sha256]
        found = hashlib.sha256(encoded).hexdigest()
        if (found, len(encoded)) != (ref.sha256, ref.size):
            raise ImageAltered(f"the image store holds {found} where {ref.sha256} should be")
        return encoded


def png(pixels: Pixels) -> bytes:
    """Encode pixels, uint8 of shape (H, W, 3)."""
    sink = io.BytesIO()
    Image.fromarray(pixels).save(sink, "PNG")
    return sink.getvalue()


def picture(vector: Sequence[float] | Embedding, *, faces: int = 1, side: int = 100, sharpness: int = 100) -> Pixels:
    """Draw what ``StubExaminer`` reads: shape (2, 8, 3).

    Args:
        vector: Eight values; their direction is the face's embedding, to about 0.01 a value.
        faces: How many faces the picture has, 0 to 255.
        side: The face's width in pixels, 0 to 255.
        sharpness: The face's sharpness, 0 to 255.
    """
    drawn = np.zeros((2, DIMENSION, 3), np.uint8)
    direction = unit(np.asarray(vector, np.float32))
    drawn[0] = np.round(direction * 127 + 128).astype(np.uint8)[:, None]
    drawn[1, 0] = (faces, side, sharpness)
    return drawn
