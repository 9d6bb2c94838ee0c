"""Source frames on their way to a model: decoded apart from this process, and cut to the size that the model takes."""

import asyncio

import numpy as np
from PIL import Image

from streams.adapters.images.decoder import DecoderProcess
from streams.core.faces import Pixels
from streams.errors import GeneratorRejected


class Frames:
    """Decodes in a child process, which starts with the first frame: what frames hold is a stranger's choice."""

    def __init__(self) -> None:
        self._decoder = DecoderProcess()
        self._one_at_a_time = asyncio.Lock()

    async def fitted(self, encoded: bytes, height: int, width: int) -> Pixels:
        """Return the middle of a frame, as large as it goes and of that shape, as (height, width, 3).

        Raises:
            GeneratorRejected: If it cannot be decoded.
            DependencyUnavailable: If nothing can.
        """
        async with self._one_at_a_time:
            return await asyncio.to_thread(self._fitted, encoded, height, width)

    def close(self) -> None:
        """End the child, for good."""
        self._decoder.close()

    def _fitted(self, encoded: bytes, height: int, width: int) -> Pixels:
        (pixels,) = self._decoder.decode([encoded])
        if not isinstance(pixels, np.ndarray):
            raise GeneratorRejected(f"expected a source frame that can be decoded, got {pixels.detail}")
        return middle(pixels, height, width)


def middle(pixels: Pixels, height: int, width: int) -> Pixels:
    """Cut out the middle of an image in the wanted proportion, and resize that to (height, width, 3).

    >>> middle(np.arange(6, dtype=np.uint8)[None, :, None].repeat(2, 0).repeat(3, 2), 1, 1)
    array([[[3, 3, 3]]], dtype=uint8)
    """
    high, wide = pixels.shape[:2]
    scale = min(high / height, wide / width)
    y, x = (high - scale * height) / 2, (wide - scale * width) / 2
    box = (x, y, x + scale * width, y + scale * height)
    resized = Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX, box)
    return np.asarray(resized, dtype=np.uint8)
