"""What is kept of many samples: the book of charts, and that of clips."""

from collections.abc import Sequence
from datetime import datetime
from typing import Protocol

from streams.core.clips.book import ClipPage, ClipTurned
from streams.core.clips.gathered import Gathered
from streams.core.drift.book import Page, Turned
from streams.core.drift.chart import Observation
from streams.core.records import Record


class ChartBook(Protocol):
    """The samples that charts are made of, and what was made of them. Every method is one transaction."""

    async def put(self, observations: Sequence[Observation]) -> list[str]:
        """Store those that are not there yet; return the scopes of all of them, sorted.

        Those of whoever was forgotten are left out: their verdicts lie on the topics for weeks.
        """

    async def pages(self, scopes: Sequence[str]) -> list[Page]:
        """Return the pages of those of the scopes that have something new in a closed window, or in a training step."""

    async def turn(self, turned: Sequence[Turned], *, at: datetime) -> bool:
        """Write what the pages have become, and what is to be told of it, found out ``at`` that time.

        Return whether all were written: one that somebody else has written to meanwhile is left as it is.
        """

    async def untold(self, limit: int) -> list[tuple[str, Record]]:
        """Return what is to be told and was never noted as delivered, by its id, in the order in which it came up."""

    async def told(self, ids: Sequence[str]) -> None:
        """Note that these were delivered."""


class ClipBook(Protocol):
    """The frames of clips, and what was said of them. Every method is one transaction."""

    async def put(self, frames: Sequence[Gathered], *, until: datetime) -> None:
        """Store those that are not there yet, and note ``until`` when the stream has gone on.

        Those of whoever was forgotten are left out: their verdicts lie on the topics for weeks.
        """

    async def pages(self) -> list[ClipPage]:
        """Return the pages of some clips that have something new and are complete; none where there are no more.

        A clip is complete once all its frames are there, where it was said how many it has; or else once the stream has
        gone on without it for long enough.
        """

    async def turn(self, turned: Sequence[ClipTurned], *, at: datetime) -> None:
        """Write what is said of clips, and what is to be told of it, found out ``at`` that time.

        A clip that somebody else has written to meanwhile is left as it is: its page comes again. What is to be told
        is told by the book of charts.
        """
