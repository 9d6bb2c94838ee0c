"""Image files to faces, thousands of them: of each only what is compared is kept, never the pixels."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from streams.core.faces import Examined, Face, Undecodable
from streams.ports import TwofoldExaminer
from streams.tools.exactly import examine_exactly
from streams.tools.image_files import Unreadable, read_image

#: Images that are examined at a time.
BATCH = 16

Report = Callable[[int, int], None]
"""Is told how many images are done, and of how many."""


@dataclass(frozen=True, eq=False)
class Seen:
    """What became of one file."""

    face: Face | None = None
    """The largest face, embedded in 32-bit floats and without pixels; None where there is none."""
    faces: int = 0
    why: str = ""
    """Why there is no face."""
    missing: bool = False
    """The file cannot be read: that is the list's fault, and no failure to acquire."""

    @property
    def failed(self) -> bool:
        """Whether this is a failure to acquire: an image without a face, or none that can be decoded."""
        return self.face is None and not self.missing


def no_report(done: int, total: int) -> None:
    """Say nothing."""


async def acquire(paths: Iterable[Path], examiner: TwofoldExaminer, report: Report = no_report) -> dict[Path, Seen]:
    """Return what is seen in each file; each is examined once, however often it is named.

    Always in 32-bit floats: error rates must not depend on how rough a first look is, by which nothing is decided.
    """
    wanted = list(dict.fromkeys(paths))
    seen: dict[Path, Seen] = {}
    for start in range(0, len(wanted), BATCH):
        batch = wanted[start : start + BATCH]
        read = await asyncio.to_thread(_read_all, batch)
        encoded = {path: data for path, data in read.items() if isinstance(data, bytes)}
        examined = await examine_exactly(list(encoded.values()), examiner) if encoded else []
        seen |= {path: _seen(data) for path, data in read.items() if not isinstance(data, bytes)}
        seen |= {path: _seen(one) for path, one in zip(encoded, examined, strict=True)}
        report(len(seen), len(wanted))
    return seen


def seen_by_second(seen: Seen) -> Seen:
    """Return what the second verifier has seen, as if it were the only one."""
    face = seen.face
    if face is None:
        return seen
    if face.second is None:
        return replace(seen, face=None, why="the second verifier did not see the face")
    return replace(seen, face=replace(face, embedding=face.second))


def missing(seen: Mapping[Path, Seen]) -> dict[str, str]:
    """Return the files that could not be read, and why."""
    return {str(path): one.why for path, one in seen.items() if one.missing}


def failures(seen: Mapping[Path, Seen]) -> dict[str, str]:
    """Return the failures to acquire, and why."""
    return {str(path): one.why for path, one in seen.items() if one.failed}


def _read_all(paths: Sequence[Path]) -> dict[Path, bytes | Undecodable | Unreadable]:
    return {path: read_image(path) for path in paths}


def _seen(examined: Examined | Unreadable) -> Seen:
    if isinstance(examined, Unreadable):
        return Seen(why=examined.why, missing=True)
    if isinstance(examined, Undecodable):
        return Seen(why=f"{examined.reason.value}: {examined.detail}")
    if examined.largest is None:
        return Seen(why="no face was found")
    return Seen(replace(examined.largest, portrait=None, features=None), examined.faces)
