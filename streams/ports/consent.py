"""Who agreed to what."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from streams.core.consent import ANYWHERE, Consent, Entry, Purpose, Terms


class Agreed(Protocol):
    """Who agreed to what, as a verdict needs it."""

    async def entries(self, identities: Sequence[str]) -> dict[str, tuple[Entry, ...]]:
        """Return all entries of each, in the order of the register; none for whoever is not in it."""


class ConsentRegister(Agreed, Protocol):
    """Who agreed to what. Nothing is kept in between: what is asked after an entry was added, knows it."""

    async def states(self, identities: Sequence[str], now: datetime) -> dict[str, Consent]:
        """Return how each one's consent to be generated stands, whatever its terms."""

    async def grant(
        self,
        identity: str,
        *,
        evidence: str,
        at: datetime,
        expires: datetime | None,
        purpose: Purpose = Purpose.GENERATION,
        terms: Terms = ANYWHERE,
        digest: str | None = None,
    ) -> None:
        """Record that consent was given.

        Args:
            identity: By whom.
            evidence: Where it can be seen.
            at: From when on.
            expires: Until when; None = until it is withdrawn.
            purpose: To what.
            terms: By which models, and where.
            digest: SHA-256 of the file that shows it.
        """

    async def withdraw(self, identity: str, *, at: datetime, note: str, purpose: Purpose | None = None) -> None:
        """Record that consent was withdrawn, to everything where no purpose is named."""

    async def unannounced(self, limit: int, *, of: str | None = None) -> list[Entry]:
        """Return entries that were not published yet, the oldest first; of one person where one is named."""

    async def announced(self, numbers: Sequence[int]) -> None:
        """Note that entries were published."""
