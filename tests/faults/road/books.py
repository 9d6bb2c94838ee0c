"""What the ledger says from outside, as time goes on: how much has ended, and when."""

import asyncio
import bisect
import time
from collections.abc import AsyncIterator, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row, TextClause, create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

#: Seconds between two looks.
_LOOK_SECONDS = 0.2

#: Both counts come from small indexes, and from one moment.
_COUNTS = text(
    "SELECT (SELECT count(registered_at) FROM sample), (SELECT count(*) FROM sample WHERE published_at IS NULL)"
)
_IDS = text("SELECT sample_id FROM sample")
_CLUSTER = text("SELECT cluster FROM delivery")


@dataclass(frozen=True)
class Look:
    """The books at one moment."""

    at: float
    """Monotonic seconds."""
    rows: int
    ended: int
    """Rows whose end was noted as delivered."""


@dataclass
class Books:
    """Looks at the ledger all the time. While it cannot be read, the last look stays."""

    url: str
    looks: list[Look] = field(default_factory=lambda: [Look(time.monotonic(), 0, 0)])
    _engine: Engine = field(init=False)

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["Books"]:
        """Look, until left."""
        self._engine = create_engine(self.url)
        looking = asyncio.create_task(self._look_on())
        try:
            yield self
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            self._engine.dispose()

    @property
    def now(self) -> Look:
        """What was seen last."""
        return self.looks[-1]

    def first_end_after(self, moment: float) -> float | None:
        """Return when the first sample ended that had not at ``moment``; None where none did yet."""
        start = bisect.bisect_right(self.looks, moment, key=lambda look: look.at)
        before = self.looks[max(0, start - 1)].ended
        return next((look.at for look in self.looks[start:] if look.ended > before), None)

    async def look(self) -> Look:
        """Look now. Raises DBAPIError where the ledger cannot be read, as the others that ask do."""
        ((rows, waiting),) = await self._ask(_COUNTS)
        self.looks.append(Look(time.monotonic(), rows, rows - waiting))
        return self.now

    async def know(self, sample_ids: Collection[str]) -> bool:
        """Whether every one of these samples has a row."""
        return {row.sample_id for row in await self._ask(_IDS)}.issuperset(sample_ids)

    async def deliver_to(self) -> str | None:
        """Return the id of the cluster to which what is noted as delivered has gone; None where nobody has said yet."""
        return next((row.cluster for row in await self._ask(_CLUSTER)), None)

    async def _look_on(self) -> None:
        while True:
            with suppress(DBAPIError):
                await self.look()
            await asyncio.sleep(_LOOK_SECONDS)

    async def _ask(self, question: TextClause) -> Sequence[Row[Any]]:
        def ask() -> Sequence[Row[Any]]:
            with self._engine.connect() as connection:
                return connection.execute(question).all()

        return await asyncio.to_thread(ask)
