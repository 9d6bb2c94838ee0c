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
from collections import Counter
from collections.abc import Callable, Mapping, Set
from dataclasses import dataclass, field

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.kafka.clients import closed
from streams.kafka.readers import consumer
from streams.runtime.metrics import Metrics
from streams.runtime.patience import Patience
from streams.runtime.unread import first_records

log = logging.getLogger(__name__)

#: Exit status of a worker that its watchdog ended (EX_SOFTWARE of sysexits.h).
STUCK_STATUS = 70
#: So many looks within the limit.
LOOKS = 8

Place = tuple[str, int]
"""Topic and partition."""


@dataclass
class Standstill:
    """For how long messages have waited without one of them being done."""

    since: float | None = None
    """When the standstill began; None while there is none."""
    _waiting: Mapping[Place, int] = field(default_factory=dict)

    def look(self, waiting: Mapping[Place, int], *, excused: bool, now: float) -> float:
        """Take in one more look; return the seconds of standstill, 0 while there is none.

        Args:
            waiting: Committed offsets of this worker's own partitions in which messages wait.
            excused: A dependency is down: nobody could do better.
            now: Seconds on any clock that only goes forward.

        >>> still = Standstill()
        >>> [still.look({("t", 0): 7}, excused=False, now=now) for now in (0, 15, 30)]
        [0, 15, 30]
        >>> still.look({("t", 0): 8}, excused=False, now=45)
        0
        """
        stood_still = self.since is not None and self._waiting.items() & waiting.items() == waiting.items()
        self._waiting = waiting
        if excused or not waiting:
            self.since = None
            return 0
        if not stood_still or self.since is None:
            self.since = now
        return now - self.since


class Watchdog(threading.Thread):
    """Looks a few times within the limit; ends the process, with all stacks in its log."""

    def __init__(
        self,
        kafka: str,
        group: str,
        patience: Patience,
        assigned: Callable[[], Set[Place]],
        *,
        limit_seconds: float,
        call_seconds: float,
        metrics: Metrics | None = None,
    ) -> None:
        """Watch one worker of this process.

        Args:
            kafka: Bootstrap servers.
            group: The worker's consumer group.
            patience: Knows what the worker waits for.
            assigned: Returns the partitions that are this worker's now.
            limit_seconds: A standstill of this many seconds ends the process.
            call_seconds: How long one call of a dependency may take.
            metrics: Told what each look finds.
        """
        super().__init__(name="likeness-watchdog", daemon=True)
        self._kafka, self._group, self._patience, self._assigned = kafka, group, patience, assigned
        self._limit, self._call_seconds, self._metrics = limit_seconds, call_seconds, metrics or Metrics()

    def run(self) -> None:
        """Look until the process ends."""
        try:
            self._watch()
        finally:  # by whatever error: a worker that nobody watches must not go on
            log.critical("the watchdog itself has failed: this process ends itself", exc_info=True)
            os._exit(STUCK_STATUS)

    def _watch(self) -> None:
        still = Standstill()
        while True:
            time.sleep(self._limit / LOOKS)
            try:
                waiting = asyncio.run(self._waiting())
            except (KafkaError, OSError, TimeoutError):
                waiting = {}  # a broker that is down excuses the worker
                self._metrics.broker(reachable=False)
            else:
                self._metrics.broker(reachable=True)
            now = time.monotonic()
            stood = still.look(waiting, excused=self._patience.excuses(self._call_seconds, now), now=now)
            if stood > self._limit and self._truly_waits(waiting):
                log.critical("nothing was done for %.0f s in %s: this process ends itself", stood, sorted(waiting))
                faulthandler.dump_traceback(sys.stderr)
                os._exit(STUCK_STATUS)

    def _truly_waits(self, waiting: Mapping[Place, int]) -> bool:
        """Return whether a message waits, and not only the mark of a transaction, which nobody is ever given."""
        try:
            return asyncio.run(self._unread(waiting))
        except (KafkaError, OSError):
            return False  # a broker that is down excuses the worker

    async def _unread(self, waiting: Mapping[Place, int]) -> bool:
        begins = {TopicPartition(*place): offset for place, offset in waiting.items()}
        reader = consumer(self._kafka)
        try:
            async with asyncio.timeout(self._limit):
                await reader.start()
                return bool(await first_records(reader, begins, await reader.end_offsets(list(begins))))
        finally:
            await closed(reader.stop())

    async def _waiting(self) -> dict[Place, int]:
        """Return the committed offset of every own partition in which messages wait."""
        places = [TopicPartition(topic, partition) for topic, partition in sorted(self._assigned())]
        if not places:
            self._metrics.waiting({})
            return {}
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        reader = consumer(self._kafka)
        try:
            await admin.start()
            await reader.start()
            committed = await admin.list_consumer_group_offsets(self._group)
            begins, ends = await reader.beginning_offsets(places), await reader.end_offsets(places)
        finally:
            await closed(reader.stop(), admin.close())
        done = {place: max(_offset(committed.get(place)), begins[place]) for place in places}
        lag = Counter[str]()
        for place, offset in done.items():
            lag[place.topic] += max(0, ends[place] - offset)
        self._metrics.waiting(lag)
        return {(p.topic, p.partition): offset for p, offset in done.items() if ends[p] > offset}


def _offset(entry: object) -> int:
    return int(getattr(entry, "offset", 0) or 0)
