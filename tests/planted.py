"""What may lie in an image store in the place of an image."""

import hashlib
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from streams.events import IMAGE_BYTES


@dataclass(frozen=True)
class Thing:
    """Something in the place of an image."""

    name: str
    size: int
    reason: str
    plant: Callable[[Path, bytes], None]

    @property
    def content(self) -> bytes:
        """What would have to lie there."""
        return self.name.encode().ljust(min(self.size, 100), b".")

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.content).hexdigest()


def things() -> Iterable[Thing]:
    yield Thing("nowhere", 100, "image-missing", lambda place, content: None)
    yield Thing("another one", 100, "image-altered", lambda place, content: _write(place, b"x" * len(content)))
    yield Thing("longer than it says", 100, "image-altered", lambda place, content: _write(place, content + b"x"))
    yield Thing("cut off", 100, "image-altered", lambda place, content: _write(place, content[:-1]))
    yield Thing("a terabyte of nothing", 100, "image-altered", lambda place, _: _truncate(place, 1 << 40))
    yield Thing("larger than any may be", IMAGE_BYTES + 1, "image-too-large", lambda place, _: _truncate(place, 1))
    yield Thing("a link out of the store", 100, "image-altered", _link)
    yield Thing("a link to a device", 100, "image-altered", lambda place, _: place.symlink_to("/dev/zero"))
    yield Thing("a folder", 100, "image-altered", lambda place, _: place.mkdir())
    yield Thing("a pipe that nobody writes to", 100, "image-altered", lambda place, _: os.mkfifo(place))


def plant(store: Path) -> None:
    """Lay what the corpus points at into a folder that is an image store."""
    for thing in things():
        place = store / thing.sha256[:2] / thing.sha256
        place.parent.mkdir(exist_ok=True)
        if not place.is_symlink() and not place.exists():
            thing.plant(place, thing.content)


def _write(place: Path, content: bytes) -> None:
    place.write_bytes(content)


def _truncate(place: Path, size: int) -> None:
    with place.open("wb") as file:
        file.truncate(size)


def _link(place: Path, content: bytes) -> None:
    outside = place.parent.parent.with_name("outside")
    outside.write_bytes(content)  # it is the very image, but nobody may be led to it
    place.symlink_to(outside)
