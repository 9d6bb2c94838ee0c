"""What happens to a PostgreSQL that holds the ledger."""

import asyncio
import os
import random
import signal
from dataclasses import dataclass

import psutil

from tests.faults.kinds.fault import Fault
from tests.faults.road.laid import Road
from tests.postgres import Native


@dataclass
class PostgresKilled(Fault):
    """``kill -9`` of the server with all its processes, and a start after a while: it recovers from its log."""

    server: Native
    name = "PostgreSQL kill -9"
    realms = ("disk",)

    async def inject(self, road: Road, draw: random.Random) -> None:
        await asyncio.to_thread(self.server.kill)
        try:
            await asyncio.sleep(draw.uniform(1, 5))
        finally:
            await asyncio.to_thread(self.server.start)


@dataclass
class PostgresStopped(Fault):
    """The server and every process that serves a connection stand still."""

    server: Native
    name = "PostgreSQL SIGSTOP"
    realms = ("disk",)

    async def inject(self, road: Road, draw: random.Random) -> None:
        family = [self.server.pid, *(child.pid for child in psutil.Process(self.server.pid).children(recursive=True))]
        for pid in family:
            os.kill(pid, signal.SIGSTOP)
        try:
            await asyncio.sleep(draw.uniform(3, 8))
        finally:
            for pid in family:
                os.kill(pid, signal.SIGCONT)
