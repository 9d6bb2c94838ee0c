"""What happens to the disk under the ledger and the images, and to the ledger itself."""

import asyncio
import random
import sqlite3
from contextlib import closing

from streams.adapters.ledger.sqlite import BUSY_TIMEOUT_MS
from tests.faults.kinds.fault import Fault, Unmet
from tests.faults.road.laid import Road


class DiskFull(Fault):
    """Not one byte more for the ledger and the images."""

    name = "disk full under ledger and images"
    realms = ("disk",)

    async def inject(self, road: Road, draw: random.Random) -> None:
        async with road.disk.full([process for _, process in road.crew.running()]):
            await asyncio.sleep(draw.uniform(4, 9))


class LedgerBusy(Fault):
    """Somebody holds the ledger's write lock for longer than anybody waits for it."""

    name = "ledger locked (SQLITE_BUSY)"
    realms = ("disk",)

    async def inject(self, road: Road, draw: random.Random) -> None:
        path = road.sqlite
        if path is None:
            raise Unmet("the ledger is not SQLite")
        with closing(sqlite3.connect(path, timeout=5, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            try:
                await asyncio.sleep(BUSY_TIMEOUT_MS / 1000 + draw.uniform(1, 3))
            finally:
                connection.execute("ROLLBACK")
