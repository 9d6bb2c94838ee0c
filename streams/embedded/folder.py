"""The data folder: ours by a mark, and held by one owner at a time."""

import contextlib
import errno
import fcntl
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from streams.errors import BadInput

#: What the embedded parts keep in the data folder and ``--fresh`` wipes.
WIPED = ("kafka", "milvus", "images", "ledger.db", "ledger.db-wal", "ledger.db-shm")

#: Bytes that must be free before the parts start: Kafka alone allocates some hundred megabytes.
FREE_BYTES = 500_000_000

_MARK = "likeness.folder"
_LOCK = "running.lock"

#: Seconds between two tries to take a lock.
_PAUSE = 0.1


def claim(data_dir: Path) -> None:
    """Make the folder, or check that it is ours.

    Raises:
        BadInput: It cannot be written, is full, or holds somebody else's data under our names.
    """
    with writable(data_dir):
        data_dir.mkdir(parents=True, exist_ok=True)
        mark = data_dir / _MARK
        foreign = [name for name in WIPED if (data_dir / name).exists()]
        if not mark.exists() and foreign:
            raise BadInput(
                f"{data_dir} holds {foreign[0]!r}, which Likeness did not put there:"
                " choose another folder by LIKENESS_DATA_DIR"
            )
        mark.write_text("This folder holds the data of Likeness' embedded parts.\n")
    free = shutil.disk_usage(data_dir).free
    if free < FREE_BYTES:
        raise BadInput(
            f"{data_dir} has {free // 1_000_000} MB free, expected at least {FREE_BYTES // 1_000_000}:"
            " free some space or choose another folder by LIKENESS_DATA_DIR"
        )


def wipe(data_dir: Path) -> None:
    """Delete the parts' data, and nothing else. The folder must have been claimed and be held."""
    if not (data_dir / _MARK).exists():
        raise BadInput(f"{data_dir} is not a data folder of Likeness: nothing was deleted")
    with writable(data_dir):
        for name in WIPED:
            path = data_dir / name
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path)
            else:
                path.unlink(missing_ok=True)


@contextlib.contextmanager
def writable(folder: Path) -> Iterator[None]:
    """Turn what the system says of a folder that cannot be written into BadInput with the remedy."""
    try:
        yield
    except OSError as error:
        what = "is on a full disk" if error.errno == errno.ENOSPC else "cannot be written"
        raise BadInput(
            f"{folder} {what} ({error.strerror}: {error.filename}):"
            " make room, give it to this user, or choose another folder by LIKENESS_DATA_DIR or LIKENESS_CACHE_DIR"
        ) from error


@contextlib.contextmanager
def held(path: Path, seconds: float, refuse: Callable[[], BadInput | None] = lambda: None) -> Iterator[int]:
    """Hold an exclusive lock on a file; it ends with every process that has the yielded file descriptor.

    Args:
        path: The file, which is made where it is missing and never deleted.
        seconds: How long to wait for another holder.
        refuse: Asked while another one holds it: the error that makes waiting pointless, or None.

    Raises:
        BadInput: Another one holds it.
    """
    deadline = time.monotonic() + seconds
    with writable(path.parent):
        descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        while not _locked(descriptor):
            refusal = refuse()
            if refusal is None and time.monotonic() > deadline:
                refusal = BadInput(f"{path} is held by another process: wait until that has ended")
            if refusal is not None:
                raise refusal
            time.sleep(_PAUSE)
        yield descriptor
    finally:
        os.close(descriptor)


def is_held(data_dir: Path) -> bool:
    """Whether the parts of this folder, or one of their processes, still run."""
    try:
        descriptor = os.open(data_dir / _LOCK, os.O_RDWR)
    except OSError:  # never made, or somebody else's
        return False
    try:
        return not _locked(descriptor)
    finally:
        os.close(descriptor)


def lock_path(data_dir: Path) -> Path:
    """Return the file whose lock the owner and every child process of the parts hold."""
    return data_dir / _LOCK


def _locked(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
