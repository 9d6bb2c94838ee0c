"""Files that are there whole or not at all, whoever is killed while one is written."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(file: Path) -> Iterator[Path]:
    """Yield where to write first; what lies there takes the file's place in the end, and is deleted on an error.

    A reader sees the old file or the new one, never a part of it, and two processes may write one at a time. What a
    machine remembers that loses its power is not promised.

    Raises:
        OSError: If it cannot take the file's place.
    """
    part = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        yield part
        os.replace(part, file)
    finally:
        part.unlink(missing_ok=True)
