"""The ledger: one row a sample, what was decided of it, and dead letters that are taken back."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from streams.core.ledger import Outcome, Registered, Registration
from streams.core.redrive import Redrive
from streams.events import ImageRef


class Ledger(Protocol):
    """Decides once: one row a sample. Every method is one transaction, or one a small group of rows."""

    async def called(self, identities: Iterable[str]) -> dict[str, str]:
        """Return what each is called: whoever was forgotten by a name that leads to nobody, everybody else as ever."""

    async def register(self, groups: Sequence[Sequence[Registration]]) -> dict[str, Registered]:
        """Insert the rows that are absent; return what the table holds for each id.

        A group is what one message asks for, all or none: where its first row is held with another payload, none of
        its rows are inserted.

        Raises:
            ForgottenMeanwhile: If one is of somebody who was forgotten, by the name that they had.
        """

    async def attempt(self, sample_ids: Sequence[str]) -> dict[str, int]:
        """Count one more attempt for each row; return the counts."""

    async def take_back_attempt(self, sample_ids: Sequence[str]) -> None:
        """Take back one attempt of each row: it ended in order, without an outcome and through no fault of theirs."""

    async def child_death(self, sample_id: str) -> int:
        """Count the death of a child process that examined this sample alone; return the count."""

    async def registered(self, sample_ids: Sequence[str]) -> dict[str, Registered]:
        """Return what the table holds of those of the samples that are registered."""

    async def pin_versions(self, versions: Mapping[str, str]) -> dict[str, str]:
        """Give each row its model version unless it has one; return the versions that the rows hold."""

    async def repin_versions(self, sample_ids: Sequence[str], *, retired: str, served: str) -> dict[str, Registered]:
        """Give rows that are in flight, have no image yet and hold ``retired`` the version ``served`` instead.

        Return what the table holds of all of them: whose image was made meanwhile keeps its version.
        """

    async def pin_images(self, images: Mapping[str, ImageRef], *, version: str | None = None) -> dict[str, ImageRef]:
        """Give each row its image unless it has one; return the images that the rows hold.

        Args:
            images: By sample id.
            version: The model version that made them: a row that holds another one is left out, and is not returned.

        Raises:
            ForgottenMeanwhile: If one is of somebody who was forgotten; then none is pinned.
        """

    async def decide(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Store each outcome unless the row has one; return what the rows hold, in the given order.

        Raises:
            ForgottenMeanwhile: If one speaks of somebody who was forgotten by the name that they had; then none is
                stored.
        """

    async def outcomes(self, sample_ids: Sequence[str]) -> dict[str, Outcome]:
        """Return the stored outcomes of those of the samples that have one."""

    async def unpublished(self, older_than: datetime, limit: int) -> list[Outcome]:
        """Return outcomes that were decided before ``older_than`` and never noted as delivered, oldest first."""

    async def published(self, delivered: Mapping[str, datetime]) -> None:
        """Note that records were delivered: sample id to the record's time.

        A row that holds another end by now is left alone: a late note must not hide that one is still to be delivered.
        """

    async def in_flight(
        self, older_than: datetime, limit: int, *, after: Registration | None = None
    ) -> list[Registration]:
        """Return rows that were registered before ``older_than`` and have no outcome, oldest first.

        The next ones are those ``after`` the last one.
        """

    async def delivers_to(self, cluster: str, *, newer_than: datetime) -> int:
        """Note to which Kafka cluster outcomes go; the first time that is all.

        Another one than before has none of the records: those of outcomes decided since ``newer_than`` count as never
        delivered from now on. Return how many these are.
        """


class Redrives(Protocol):
    """Takes dead letters back: the ledger's side of a redrive. Every method is one transaction."""

    async def reopen(self, sample_id: str, *, at: datetime, note: str, most: int | None) -> Redrive | None:
        """Write the audit row and put the sample back in flight, both or neither; None where there is nothing to do.

        There is nothing to do for a row that is absent, not dead, or not noted as delivered; for one that was reopened
        ``most`` times (None: no limit); and for a message that named no sample, once it was sent back: its row stays
        dead, because the message will have another place and so another id.
        """

    async def history(self, sample_ids: Sequence[str]) -> list[Redrive]:
        """Return every redrive of these ids, the oldest first."""

    async def unsent(self) -> list[Redrive]:
        """Return what was taken back and is not known to be delivered, the oldest first."""

    async def sent(self, redrive: Redrive, *, at: datetime) -> None:
        """Note that the message was delivered."""
