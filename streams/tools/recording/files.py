"""Files that are there whole or not at all, whenever the process is killed."""

import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

from streams.errors import BadInput

#: How the names of files begin that are being written: with a dot, which readers of Parquet folders pass by.
UNFINISHED = ".unfinished-"


def write_whole(path: Path, write: Callable[[BinaryIO], object]) -> None:
    """Have ``write`` fill a file, and put it in its place once it is on the disk. Blocks.

    Raises:
        BadInput: If it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(dir=path.parent, prefix=UNFINISHED)
        try:
            with os.fdopen(handle, "wb") as file:
                write(file)
                file.flush()
                os.fsync(file.fileno())
            os.replace(unfinished, path)
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise BadInput(f"{path} cannot be written: {error.strerror}; name another folder, or make room") from error
