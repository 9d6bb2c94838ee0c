"""A ledger that decides anew every time: the control that shows what a ledger is for."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime

from streams.core.ledger import Outcome, Registered, Registration, State
from streams.events import ImageRef


class ForgetfulLedger:
    """Has the methods of ``ports.Ledger`` and keeps none of its promises: what is proposed is returned."""

    async def called(self, identities: Iterable[str]) -> dict[str, str]:
        return {identity: identity for identity in identities}

    async def register(self, groups: Sequence[Sequence[Registration]]) -> dict[str, Registered]:
        return {row.sample_id: Registered(row, State.IN_FLIGHT, 0) for group in groups for row in group}

    async def attempt(self, sample_ids: Sequence[str]) -> dict[str, int]:
        return dict.fromkeys(sample_ids, 1)

    async def take_back_attempt(self, sample_ids: Sequence[str]) -> None:
        return

    async def child_death(self, sample_id: str) -> int:
        return 1

    async def registered(self, sample_ids: Sequence[str]) -> dict[str, Registered]:
        return {}

    async def pin_versions(self, versions: Mapping[str, str]) -> dict[str, str]:
        return dict(versions)

    async def repin_versions(self, sample_ids: Sequence[str], *, retired: str, served: str) -> dict[str, Registered]:
        return {}

    async def pin_images(self, images: Mapping[str, ImageRef], *, version: str | None = None) -> dict[str, ImageRef]:
        return dict(images)

    async def decide(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        return [replace(outcome, published=False) for outcome in outcomes]

    async def outcomes(self, sample_ids: Sequence[str]) -> dict[str, Outcome]:
        return {}

    async def unpublished(self, older_than: datetime, limit: int) -> list[Outcome]:
        return []

    async def published(self, delivered: Mapping[str, datetime]) -> None:
        return None

    async def in_flight(
        self, older_than: datetime, limit: int, *, after: Registration | None = None
    ) -> list[Registration]:
        return []

    async def delivers_to(self, cluster: str, *, newer_than: datetime) -> int:
        return 0
