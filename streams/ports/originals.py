"""Images that no sample may be a copy of."""

from collections.abc import Iterable, Sequence
from typing import Protocol

from streams.core.imprints import Imprints, Original
from streams.events import NearOriginal, OriginalKind


class Compared(Protocol):
    """What a sample may be a copy of, as a look at it needs it."""

    async def about(self) -> int:
        """Return about how many are registered, quickly: none exactly where there are none, else as of a minute ago."""

    async def nearest(self, probes: Sequence[Imprints]) -> list[tuple[NearOriginal, ...]]:
        """Return, for each picture in order, the originals that are nearest to it: ``copies.TOLD`` of them."""


class Originals(Compared, Protocol):
    """Images that no sample may be a copy of: enrolled photographs and training images, by their imprints."""

    async def register(self, originals: Sequence[Original]) -> None:
        """Put originals, each in the place of the one that had its id."""

    async def remove(self, original_ids: Iterable[str]) -> None:
        """Take originals out; unknown ids are no error."""

    async def known(self, original_ids: Sequence[str]) -> set[str]:
        """Return those of the ids that are registered."""

    async def held(self, identity: str) -> dict[str, OriginalKind]:
        """Return the ids of all originals that show this identity, and what each is."""

    async def count(self, kind: OriginalKind | None = None) -> int:
        """Return how many originals are registered, of one kind or of any."""
