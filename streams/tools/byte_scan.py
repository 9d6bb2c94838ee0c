"""Look through files for what should be gone."""

import mmap
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from streams.core.erasure import Search


@dataclass
class Scanned:
    """What was looked through, and what was found."""

    files: int = 0
    size: int = 0
    """Bytes."""
    left: Counter[str] = field(default_factory=Counter)
    """File and what is in it, to how often."""


def scan(paths: Iterable[Path], search: Search, *, without: Iterable[Path] = ()) -> Scanned:
    """Look through every file under the paths, byte by byte; blocks.

    Args:
        paths: Folders and files; what is not there is passed over.
        search: What is looked for.
        without: Folders that are passed over.
    """
    scanned, passed = Scanned(), {path.resolve() for path in without}
    for path in sorted({file.resolve() for each in paths for file in _files(each)}):
        if passed & set(path.parents):
            continue
        try:
            found = list(_search(path, search))
            scanned.size += path.stat().st_size
        except FileNotFoundError:  # a part that runs has just written it anew
            continue
        scanned.files += 1
        scanned.left.update(f"{what} in {path}" for what in found)
    return scanned


def _files(path: Path) -> Iterator[Path]:
    if path.is_dir():
        yield from (each for each in path.rglob("*") if each.is_file() and not each.is_symlink())
    elif path.is_file():
        yield path


def _search(path: Path, search: Search) -> Iterator[str]:
    with path.open("rb") as file:
        if path.stat().st_size == 0:
            return
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
            yield from search.in_bytes(content)
