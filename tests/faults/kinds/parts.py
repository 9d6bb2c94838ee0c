"""What happens to Kafka, Triton and Milvus, and to the connections that lead there."""

import asyncio
import random
import signal
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from typing import ClassVar

from tests.faults.kinds.fault import Fault, Realm
from tests.faults.road.crew import until
from tests.faults.road.laid import SESSION_SECONDS, Road
from tests.faults.road.proxy import Proxy

#: A broker that is told to stop hands over what it leads; by then it has ended.
_STOP_SECONDS = 40.0


@dataclass
class _OfPart(Fault):
    """A fault of one part; of one node, drawn, where there are three of it."""

    part: Realm
    called: str = ""
    what: ClassVar[str] = ""

    @property
    def name(self) -> str:  # type: ignore[override]
        """One class a part."""
        return f"{self.called or self.part} {self.what}"

    @property
    def realms(self) -> Sequence[Realm]:  # type: ignore[override]
        """The part."""
        return (self.part,)

    def one(self, road: Road, draw: random.Random) -> str:
        """Return the part, or one of its nodes."""
        return draw.choice(road.nodes) if self.part == "kafka" else self.part

    def outage(self, draw: random.Random) -> float:
        """Draw how long it lasts: a broker's outage is longer than a session."""
        return (SESSION_SECONDS if self.part == "kafka" else 2.0) + draw.uniform(1, 5)


class Killed(_OfPart):
    """``kill -9``, and a start with the same data after a while."""

    what = "kill -9"

    async def inject(self, road: Road, draw: random.Random) -> None:
        part = self.one(road, draw)
        road.signal(part, signal.SIGKILL)
        await asyncio.sleep(draw.uniform(0, 4))
        await road.up.start_again(part)


class Stopped(_OfPart):
    """The process stands still: connections stay and nothing answers."""

    what = "SIGSTOP"

    async def inject(self, road: Road, draw: random.Random) -> None:
        part = self.one(road, draw)
        road.signal(part, signal.SIGSTOP)
        try:
            await asyncio.sleep(self.outage(draw))
        finally:
            road.signal(part, signal.SIGCONT)


class Rolled(_OfPart):
    """Every node ends in order and starts again, one after the other."""

    what = "rolling restart"
    seconds = 300.0

    async def inject(self, road: Road, draw: random.Random) -> None:
        for part in road.nodes if self.part == "kafka" else [self.part]:
            road.signal(part, signal.SIGTERM)
            await until(partial(_dead, road, part), f"{part} ends", _STOP_SECONDS)
            await road.up.start_again(part)


def _dead(road: Road, part: str) -> bool:
    return road.server(part) is None


class _Connection(_OfPart):
    """Something that happens on the way to a part."""

    async def inject(self, road: Road, draw: random.Random) -> None:
        async with self.broken(road.proxies[self.one(road, draw)], draw):
            await asyncio.sleep(self.outage(draw))

    @asynccontextmanager
    async def broken(self, proxy: Proxy, draw: random.Random) -> AsyncIterator[None]:
        """Break it for as long as this lasts."""
        raise NotImplementedError
        yield


class Cut(_Connection):
    """No connection, and none to be had."""

    what = "connection cut"

    @asynccontextmanager
    async def broken(self, proxy: Proxy, draw: random.Random) -> AsyncIterator[None]:
        async with proxy.cut():
            yield


class Hung(_Connection):
    """Half-open connections: what is sent goes nowhere, and nobody says so."""

    what = "connection hangs"

    @asynccontextmanager
    async def broken(self, proxy: Proxy, draw: random.Random) -> AsyncIterator[None]:
        async with proxy.hung(forgotten=draw.random() < 0.5):
            yield


class Slow(_Connection):
    """Everything takes 200 ms longer, each way."""

    what = "+200 ms"

    @asynccontextmanager
    async def broken(self, proxy: Proxy, draw: random.Random) -> AsyncIterator[None]:
        async with proxy.slow(0.2):
            yield


class Torn(_Connection):
    """Connections are reset in the middle of a frame, again and again."""

    what = "RST in mid-frame"

    @asynccontextmanager
    async def broken(self, proxy: Proxy, draw: random.Random) -> AsyncIterator[None]:
        async with proxy.tearing(draw.uniform(0.02, 0.2)):
            yield


def of_part(part: Realm, called: str = "") -> list[Fault]:
    """Return every fault of a part."""
    return [kind(part, called) for kind in (Killed, Stopped, Rolled, Cut, Hung, Slow, Torn)]
