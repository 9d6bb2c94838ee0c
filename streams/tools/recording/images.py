"""The images of a recording: a file each, named after its SHA-256, in a folder named after the first two digits."""

import asyncio
import hashlib
import re
from pathlib import Path

from streams.errors import BadInput, ImageAltered, ImageMissing
from streams.events import ImageRef
from streams.ports import Images
from streams.tools.recording.files import write_whole

FOLDER = "images"

_SHA256 = re.compile(r"[0-9a-f]{64}")


def reference_to(encoded: bytes) -> ImageRef:
    """Return what points at these bytes."""
    return ImageRef(sha256=hashlib.sha256(encoded).hexdigest(), size=len(encoded))


async def keep(folder: Path, ref: ImageRef, images: Images, inline: bytes | None = None) -> bool:
    """Put an image into a recording unless it is there; return False where the store has none or another one."""
    path = _path(folder, ref.sha256)
    if await asyncio.to_thread(path.exists):
        return True
    try:
        encoded = inline if inline is not None else await images.get(ref)
    except (ImageMissing, ImageAltered):
        return False
    await asyncio.to_thread(write_whole, path, lambda file: file.write(encoded))
    return True


def image(folder: Path, sha256: str) -> bytes | None:
    """Return an image of a recording; None where it has none. Blocks.

    Raises:
        BadInput: If the file holds other bytes than its name says, or cannot be read.
    """
    path = _path(folder, sha256)
    try:
        encoded = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{path} cannot be read: {error.strerror}") from error
    if hashlib.sha256(encoded).hexdigest() != sha256:
        raise BadInput(f"{path} holds other bytes than its name says: the recording was altered, record it again")
    return encoded


def _path(folder: Path, sha256: str) -> Path:
    if not _SHA256.fullmatch(sha256):
        raise BadInput(f"expected a SHA-256 as 64 hex digits, got {sha256!r}: the recording was altered")
    return folder / FOLDER / sha256[:2] / sha256
