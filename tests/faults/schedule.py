"""Which faults come, in which order, drawn from one seed; and their injection, one after the other or side by side."""

import asyncio
import random
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, field
from itertools import islice

import psutil
from aiokafka.errors import KafkaError
from sqlalchemy.exc import DBAPIError

from streams.errors import LikenessError
from tests.faults.kinds.fault import EVERYTHING, Fault, Happened, Realm, Unmet
from tests.faults.manifest import Fault as Noted
from tests.faults.road.crew import until
from tests.faults.road.laid import Road

#: What may go wrong when something is broken on purpose. The run goes on, and the result says so.
FAILURES = (Unmet, LikenessError, KafkaError, TimeoutError, OSError, psutil.Error, sqlite3.Error, DBAPIError)

#: So many faults ahead are looked through for one that breaks what nobody else is breaking.
_AHEAD = 8

Tell = Callable[[str], None]


@dataclass(frozen=True)
class Kind:
    """A fault, and how often it comes."""

    fault: Fault
    weight: float = 1.0


def drawn(kinds: Sequence[Kind], draw: random.Random, *, for_ever: bool) -> Iterator[Fault]:
    """Yield each fault once, in an order that is drawn, and then faults by their weights."""
    yield from draw.sample([kind.fault for kind in kinds], len(kinds))
    while for_ever and kinds:
        yield from draw.choices([kind.fault for kind in kinds], [kind.weight for kind in kinds])


@dataclass
class Injector:
    """Does faults to a road, and notes what came of it."""

    road: Road
    draw: random.Random
    tell: Tell
    breath_seconds: float
    """So long at most the next fault waits for the road to recover from the last one."""
    happened: list[Happened] = field(default_factory=list)
    _locks: dict[Realm, asyncio.Lock] = field(default_factory=lambda: {realm: asyncio.Lock() for realm in EVERYTHING})
    _ahead: "deque[Fault]" = field(default_factory=deque)

    async def lane(self, faults: Iterator[Fault], pauses: tuple[float, float], enough: Callable[[], bool]) -> None:
        """Do faults one after the other, with pauses that are drawn, until it is enough.

        Lanes that share the faults work side by side; each takes the first one that can be done at once.
        """
        while not enough() and (fault := self._next(faults)) is not None:
            await self.inject(fault)
            await self._breathe()
            await asyncio.sleep(self.draw.uniform(*pauses))

    async def _breathe(self) -> None:
        """Wait for the first sample that ends after the last fault, but not for long: nobody waits for all of them."""
        ended = self.happened[-1].ended
        with suppress(TimeoutError):
            await until(
                lambda: self.road.books.first_end_after(ended) is not None, "a sample ends", self.breath_seconds
            )

    def _next(self, faults: Iterator[Fault]) -> Fault | None:
        self._ahead.extend(islice(faults, _AHEAD - len(self._ahead)))
        if not self._ahead:
            return None
        free = (fault for fault in self._ahead if not any(self._locks[realm].locked() for realm in fault.realms))
        fault = next(free, self._ahead[0])
        self._ahead.remove(fault)
        return fault

    async def inject(self, fault: Fault) -> None:
        """Do one fault, when nothing else breaks the same."""
        async with AsyncExitStack() as stack:
            for realm in [realm for realm in EVERYTHING if realm in fault.realms]:  # in one order for all
                await stack.enter_async_context(self._locks[realm])
            for hand in self.road.crew.hands:
                hand.hurry()
            began, wall, failed = time.monotonic(), time.time(), ""
            try:
                async with asyncio.timeout(fault.seconds):
                    await fault.inject(self.road, self.draw)
            except FAILURES as error:
                failed = f"{type(error).__name__}: {error}"
            self.happened.append(Happened(fault.name, began, time.monotonic(), failed))
            self.road.manifest.faults.append(Noted(fault.name, wall, time.time()))
            if failed:
                await self.road.heal()
        ended, rows = self.road.books.now.ended, self.road.books.now.rows
        self.tell(f"{fault.name} ({self.happened[-1].ended - began:.1f} s){failed and f': {failed}'} [{ended}/{rows}]")

    def settle(self) -> list[Happened]:
        """Say of each fault how soon the road had recovered, and whether another one came before it had."""
        for one in self.happened:
            first = self.road.books.first_end_after(one.ended)
            if first is not None and one.recovered_seconds is None:
                one.recovered_seconds = first - one.ended
            until = first if first is not None else float("inf")
            one.alone = not any(
                other is not one and other.began < until and other.ended > one.began for other in self.happened
            )
        return self.happened
