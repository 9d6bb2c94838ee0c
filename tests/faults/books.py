"""What the ledger says from outside, as time goes on: how much has ended, and when."""

import asyncio
import bisect
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from sqlalchemy import create_engine, text
from sqlalchemy.engine import Engine
from sqlalchemy.exc import DBAPIError

#: Seconds between two looks.
_LOOK_SECONDS = 0.2

#: Both counts come from small indexes, and from one moment.
_COUNTS = text(
    "SELECT (SELECT count(registered_at) FROM sample), (SELECT count(*) FROM sample WHERE published_at IS NULL)"
)


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

    @asynccontextmanager
    async def kept(self) -> AsyncIterator["Books"]:
        """Look, until left."""
        engine = create_engine(self.url)
        looking = asyncio.create_task(self._look_on(engine))
        try:
            yield self
        finally:
            looking.cancel()
            with suppress(asyncio.CancelledError):
                await looking
            engine.dispose()

    @property
    def now(self) -> Look:
        """What was seen last."""
        return self.looks[-1]

    def first_end_after(self, moment: float) -> float | None:
        """Return when the first sample ended that had not at ``moment``; None where none did yet."""
        start = bisect.bisect_right(self.looks, moment, key=lambda look: look.at)
        before = self.looks[max(0, start - 1)].ended
        return next((look.at for look in self.looks[start:] if look.ended > before), None)

    async def _look_on(self, engine: Engine) -> None:
        while True:
            with suppress(DBAPIError):
                rows, waiting = await asyncio.to_thread(_counted, engine)
                self.looks.append(Look(time.monotonic(), rows, rows - waiting))
            await asyncio.sleep(_LOOK_SECONDS)


def _counted(engine: Engine) -> tuple[int, int]:
    with engine.connect() as connection:
        rows, waiting = connection.execute(_COUNTS).one()
        return int(rows), int(waiting)
