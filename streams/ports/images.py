"""Where images are kept."""

from typing import Protocol

from streams.core.faces import Pixels
from streams.events import ImageRef


class Images(Protocol):
    """Encoded images by the SHA-256 of their bytes."""

    async def put(self, encoded: bytes) -> ImageRef:
        """Store durably; the same bytes are stored once."""

    async def put_pixels(self, pixels: Pixels) -> ImageRef:
        """Encode as PNG and store."""

    async def find(self, sha256: str) -> ImageRef | None:
        """Return the pointer to an image of which only the digest is known; None where there is no such image."""

    async def get(self, ref: ImageRef) -> bytes:
        """Return the bytes. Raises ImageMissing or ImageAltered."""

    async def remove(self, sha256: str) -> bool:
        """Delete an image durably; return whether there was one."""
