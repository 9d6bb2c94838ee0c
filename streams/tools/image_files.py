"""Image files of one's own, read under the limit of the stream: none of them is larger in memory than that."""

import stat
from dataclasses import dataclass
from pathlib import Path

from streams.core.faces import Undecodable
from streams.events import IMAGE_BYTES, DeadReason


@dataclass(frozen=True)
class Unreadable:
    """A file that cannot be read at all: whoever named it is to blame, and no picture."""

    why: str


def read_image(path: Path) -> bytes | Undecodable | Unreadable:
    """Return what is in an image file, or why that is not read; blocks, but never for a pipe or a device."""
    try:
        status = path.stat()
        if not stat.S_ISREG(status.st_mode) and not stat.S_ISDIR(status.st_mode):
            return Unreadable("cannot be read: Not a regular file")
        if status.st_size > IMAGE_BYTES:
            return Undecodable(DeadReason.IMAGE_TOO_LARGE, f"{status.st_size} bytes; allowed are {IMAGE_BYTES}")
        return path.read_bytes()
    except (OSError, ValueError) as error:  # a name with a NUL in it is a ValueError
        return Unreadable(f"cannot be read: {getattr(error, 'strerror', None) or error}")
