"""A small disk for the ledger and the images, which can be filled to the last byte.

It is a file system in memory in a mount namespace that this process alone and its children see: it is gone with them,
however they end. Where this user may not mount, a folder takes its place, and a full disk is a limit on the size of the
files that a process may write.
"""

import asyncio
import ctypes
import os
import resource
import subprocess
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

_CLONE_NEWNS = 0x00020000


def own_mounts() -> bool:
    """Give this process mounts of its own; call it before there are threads. Return whether it may mount."""
    if os.geteuid() != 0 or ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNS) != 0:
        return False
    return _quietly("mount", "--make-rprivate", "/")


@dataclass
class Volume:
    """Where the ledger and the images of one road lie."""

    folder: Path
    mounted: bool

    @property
    def ballast(self) -> Path:
        """The file that takes up all room."""
        return self.folder / "ballast"

    @asynccontextmanager
    async def full(self, writers: Iterable[psutil.Process]) -> AsyncIterator[None]:
        """Leave no room for one more byte; without a file system of our own, to these processes."""
        limited = [] if self.mounted else list(writers)
        try:
            if self.mounted:
                await asyncio.to_thread(self._fill)
            for process in limited:
                _limit(process, 1)
            yield
        finally:
            self.heal()
            for process in limited:
                _limit(process, resource.RLIM_INFINITY)

    def _fill(self) -> None:
        """Write until nothing fits any more, in ever smaller pieces."""
        with self.ballast.open("wb", buffering=0) as ballast:
            for size in (1 << 20, 1 << 12, 1):
                with suppress(OSError):
                    while True:
                        ballast.write(bytes(size))

    def heal(self) -> None:
        """Make room again."""
        self.ballast.unlink(missing_ok=True)


def _limit(process: psutil.Process, size: int) -> None:
    """Let no file of the process become larger."""
    with suppress(psutil.NoSuchProcess):
        process.rlimit(psutil.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))


@contextmanager
def volume(folder: Path, *, may_mount: bool, megabytes: int) -> Iterator[Volume]:
    """Have a file system of so many megabytes in a folder, or the folder alone."""
    folder.mkdir(parents=True)
    options = f"size={megabytes}m,mode=0755"
    mounted = may_mount and _quietly("mount", "-t", "tmpfs", "-o", options, "likeness-faults", str(folder))
    try:
        yield Volume(folder, mounted)
    finally:
        if mounted:
            _quietly("umount", "--lazy", str(folder))


def _quietly(*argv: str) -> bool:
    try:
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0
    except OSError:
        return False
