"""A broker that loses its disk."""

import asyncio
import random
import shutil
import signal

from streams.embedded import kafka_topics
from streams.errors import DependencyUnavailable
from tests.faults.kinds.fault import EVERYTHING, Fault, Unmet
from tests.faults.road.crew import until
from tests.faults.road.laid import Road


class Wiped(Fault):
    """All of Kafka's data is gone: topics, records and offsets. What was registered must end all the same.

    What no worker had read yet is gone for good, and nobody could know of it but who asked. So nothing is asked for
    meanwhile, and the disk goes when the last of it has been registered, and much of that has no end yet. Poison that
    has no end yet must not be on its way: what names no sample cannot be asked for again.
    """

    name = "broker disk wiped"
    realms = EVERYTHING
    seconds = 300.0

    async def inject(self, road: Road, draw: random.Random) -> None:
        async with road.traffic.stopped():
            while not await road.all_is_registered():  # noqa: ASYNC110 - the ledger tells nobody
                await asyncio.sleep(0.05)
            now = await road.books.look()
            if now.ended == now.rows:
                raise Unmet("everything had ended before the disk was gone")
            road.signal("kafka", signal.SIGKILL)
            await until(lambda: road.server("kafka") is None, "the broker is dead")
            shutil.rmtree(road.site.folder / "parts" / "kafka")
            await road.up.start_again("kafka")
            await _topics_made(road.manifest.kafka)
            for hand in road.crew.hands:
                hand.hurry()


async def _topics_made(kafka: str) -> None:
    for attempt in range(3):
        try:
            await kafka_topics.create(kafka)
            return
        except DependencyUnavailable:
            if attempt == 2:
                raise
