"""How somebody is forgotten: in the ledger, and in everything that is kept as vectors."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from streams.core.erasure import Erasure, Inventory, Mentions, Swept


class Erasures(Protocol):
    """Forgets people in the ledger: their rows stay and are counted, and lead to nobody. Each call may be repeated."""

    async def begin(self, identity: str, *, at: datetime) -> Erasure:
        """Withdraw all consent, and begin a forgetting; return the one that has begun before, where there is one."""

    async def note(self, erasure: Erasure, inventory: Inventory) -> Inventory:
        """Add what was found to what is to be deleted, and return all of it: whoever goes on later knows it."""

    async def samples_of(self, erasure: Erasure) -> set[str]:
        """Return the ids of the person's samples, once they are renamed."""

    async def pictured(self, images: Collection[str]) -> set[str]:
        """Return those of the images that a row points at."""

    async def under_way(self, *, before: datetime, of: str | None = None) -> int:
        """Return how many samples that were registered ``before`` have no end: of one person, or at work by anybody."""

    async def rename(self, erasure: Erasure, identity: str, *, at: datetime) -> Inventory:
        """Take the name from every row and from the consent register, and mean nobody by it from then on.

        All of it or nothing; return what is to be deleted, with the images that the rows pointed at.
        """

    async def unchart(self, erasure: Erasure, identity: str) -> None:
        """Take the person out of the charts and out of the clips, once renamed, and note how much was there.

        Charts of others stay as they are, and so do points of charts that others are in too.
        """

    async def sweep(self, erasure: Erasure, identity: str) -> Swept:
        """Empty what is delivered of the person's samples, and take the name out of everybody else's rows."""

    async def finish(self, erasure: Erasure, *, at: datetime) -> None:
        """Note that all was done."""

    async def close(self, erasure: Erasure) -> None:
        """Forget also by what the person would be found again; only how much there was is kept."""

    async def lift(self, identity: str, *, at: datetime) -> bool:
        """Have a name mean somebody again; return whether it meant nobody."""

    async def left(self, identity: str) -> Mentions:
        """Return where the name stands, in any table."""

    async def compact(self) -> bool:
        """Write the database anew without what was deleted; False where only its operator can do that."""


class Vectors(Protocol):
    """Everything that is kept as vectors, in every embedding space."""

    async def find(self, identity: str, sample_ids: Collection[str]) -> Inventory:
        """Return what there is of somebody and of these samples."""

    async def depicted(self, images: Collection[str], *, except_of: str) -> set[str]:
        """Return those of the images that are references of anybody else."""

    async def erase(self, identity: str, sample_ids: Collection[str]) -> bool:
        """Delete it; return whether its bytes are gone with it.

        May be repeated, also after it was cut off. Everybody else is found as before, but for moments in which the
        server has no such collection.
        """

    async def left(self, identity: str, sample_ids: Collection[str]) -> dict[str, int]:
        """Return how many rows a search of each collection still finds; those with none are left out."""
