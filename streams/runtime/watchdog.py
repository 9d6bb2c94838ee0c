"""A watchdog in a thread of its own: it ends a worker that is alive, has work, and does not do it.

It asks Kafka with its own clients on its own loop, so that it sees what a stuck consumer or a blocked event loop hides.
"""

import asyncio
import faulthandler
import logging
import os
import sys
import threading
import time

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.runtime.patience import Patience
from streams.runtime.progress import Progress
from streams.runtime.roles import Role
from streams.settings import Settings

log = logging.getLogger(__name__)

#: Exit status of a worker that its watchdog ended (EX_SOFTWARE of sysexits.h).
STUCK_STATUS = 70


def is_stuck(*, lag: int, open_breakers: tuple[str, ...], idle_seconds: float, limit_seconds: float) -> bool:
    """Say whether a worker should be ended: work waits, nothing excuses it, and nothing gets done.

    >>> is_stuck(lag=3, open_breakers=(), idle_seconds=121, limit_seconds=120)
    True
    >>> is_stuck(lag=3, open_breakers=("milvus",), idle_seconds=121, limit_seconds=120)
    False
    """
    return lag > 0 and not open_breakers and idle_seconds > limit_seconds


class Watchdog(threading.Thread):
    """Looks a few times within the limit; ends the process with all stacks in its log."""

    def __init__(self, settings: Settings, role: Role, patience: Patience, progress: Progress) -> None:
        """Watch one worker of this process."""
        super().__init__(name="likeness-watchdog", daemon=True)
        self._settings, self._role, self._patience, self._progress = settings, role, patience, progress

    def run(self) -> None:
        """Look until the process ends."""
        limit = self._settings.stuck_after_seconds
        while True:
            time.sleep(limit / 8)
            if self._progress.idle_seconds() <= limit:
                continue
            try:
                lag = asyncio.run(self._lag())
            except (KafkaError, OSError, TimeoutError):
                continue  # a broker that is down excuses the worker
            breakers = self._patience.open_breakers
            idle = self._progress.idle_seconds()
            if is_stuck(lag=lag, open_breakers=breakers, idle_seconds=idle, limit_seconds=limit):
                log.critical("nothing was done for %.0f s while %d messages wait: this process ends itself", idle, lag)
                faulthandler.dump_traceback(sys.stderr)
                os._exit(STUCK_STATUS)

    async def _lag(self) -> int:
        """Return how many messages wait for the whole group."""
        kafka = self._settings.kafka
        admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
        consumer = AIOKafkaConsumer(bootstrap_servers=kafka)
        try:
            await admin.start()
            await consumer.start()
            committed = await admin.list_consumer_group_offsets(self._role.group(self._settings.group))
            places = [TopicPartition(t.name, p) for t in self._role.sources for p in range(t.partitions)]
            ends = await consumer.end_offsets(places)
        finally:
            await consumer.stop()
            await admin.close()
        return sum(max(0, ends[place] - max(0, _offset(committed.get(place)))) for place in places)


def _offset(entry: object) -> int:
    return int(getattr(entry, "offset", 0) or 0)
