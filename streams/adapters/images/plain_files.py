"""Files of a folder that others can write to, too: no link leads out of it, and nothing in it is waited for."""

import errno
import os
import stat

_OPEN = os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC


class NotPlain(Exception):
    """Something that is not a plain file of the size that was expected; says what it is."""


def read(root: str, names: tuple[str, ...], size: int) -> bytes:
    """Return what the file ``names`` below ``root`` holds, all of its ``size`` bytes.

    Raises:
        FileNotFoundError: If there is nothing.
        NotPlain: If there is something else: another size, a link, a folder, a pipe, a device.
    """
    *folders, name = names
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)  # the root itself may be a link to a mount
    try:
        for inner in folders:
            outer, folder = folder, _open(inner, os.O_DIRECTORY, folder)
            os.close(outer)
        # A pipe without a writer would be waited for until there is one.
        file = _open(name, os.O_NONBLOCK, folder)
    finally:
        os.close(folder)
    try:
        found = os.fstat(file)
        if not stat.S_ISREG(found.st_mode):
            raise NotPlain("no plain file")
        if found.st_size != size:
            raise NotPlain(f"{found.st_size} bytes")
        with open(file, "rb", closefd=False) as opened:
            return opened.read(size)
    finally:
        os.close(file)


def size(path: str) -> int:
    """Return the size of a plain file. Raises FileNotFoundError if there is none, whatever else there is."""
    found = os.lstat(path)
    if not stat.S_ISREG(found.st_mode):
        raise FileNotFoundError(errno.ENOENT, "no plain file", path)
    return found.st_size


def _open(name: str, flags: int, folder: int) -> int:
    try:
        return os.open(name, _OPEN | flags, dir_fd=folder)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENOTDIR):
            raise NotPlain("a link, or no folder") from error
        if error.errno == errno.ENXIO:
            raise NotPlain("no plain file") from error
        raise
