"""What the reconciler asks of Kafka: which cluster it is, how old its oldest waiting record is, and to take records."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from types import TracebackType

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.core.records import Record
from streams.errors import DependencyUnavailable
from streams.kafka.clients import closed
from streams.kafka.readers import consumer
from streams.runtime.unread import first_records


class Backlog:
    """Clients of its own, in no group: it takes no partition from anybody and commits nothing."""

    def __init__(self, kafka: str, *, timeout_seconds: float) -> None:
        """Take the bootstrap servers; what takes longer than ``timeout_seconds`` is down."""
        self._kafka, self._timeout = kafka, timeout_seconds

    async def __aenter__(self) -> "Backlog":
        """Connect.

        Raises:
            DependencyUnavailable: If Kafka does not answer; so do all methods.
        """
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        self._consumer = consumer(self._kafka, enable_auto_commit=False)
        self._producer = AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all", enable_idempotence=True)
        try:
            async with self._answering():
                await self._admin.start()
                await self._consumer.start()
                await self._producer.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._close()

    async def _close(self) -> None:
        await closed(self._producer.stop(), self._consumer.stop(), self._admin.close())

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except (KafkaError, OSError) as error:  # a TimeoutError is an OSError
            said = str(error) or f"nothing came for {self._timeout:g} s"
            raise DependencyUnavailable("kafka", f"{self._kafka}: {said}") from error

    async def cluster(self) -> str:
        """Return the cluster's id: another one means other disks."""
        async with self._answering():
            return str((await self._admin.describe_cluster())["cluster_id"])

    async def oldest_waiting(self, group: str, topics: Iterable[str]) -> datetime | None:
        """Return the time of the oldest record that the group has yet to commit; None where none waits.

        Of each partition the first one counts: records lie there in order of time, but for what was driven again.
        """
        async with self._answering():
            waiting = await self._waiting(group, set(topics))
            ends = await self._consumer.end_offsets(list(waiting)) if waiting else {}
            found = await first_records(self._consumer, waiting, ends)
        times = [_moment(record.timestamp) for record in found.values()]
        return min(times, default=None)

    async def _waiting(self, group: str, topics: set[str]) -> dict[TopicPartition, int]:
        """Return, for each partition with uncommitted records, where they begin."""
        described = await self._admin.describe_topics(sorted(topics))
        places = [TopicPartition(one["topic"], part["partition"]) for one in described for part in one["partitions"]]
        committed = await self._admin.list_consumer_group_offsets(group)
        begins, ends = await self._consumer.beginning_offsets(places), await self._consumer.end_offsets(places)
        waiting = {}
        for place in places:
            done = committed[place].offset if place in committed else 0
            # A topic that was made anew is read from its beginning, wherever its group thought it was.
            first = begins[place] if done > ends[place] else max(done, begins[place])
            if first < ends[place]:
                waiting[place] = first
        return waiting

    async def deliver(self, records: Iterable[Record]) -> None:
        """Publish records, and return when every in-sync broker has them."""
        async with self._answering():
            deliveries = [
                await self._producer.send(
                    record.topic,
                    record.value,
                    record.key,
                    timestamp_ms=int(record.time.timestamp() * 1000),  # as Faust reckons it
                    headers=list(record.headers),
                )
                for record in records
            ]
            await asyncio.gather(*deliveries)


def _moment(time_ms: int) -> datetime:
    """Return a record's time. A stranger's clock may say anything; what no calendar holds is as old as can be."""
    try:
        return datetime.fromtimestamp(time_ms / 1000, UTC)
    except (OverflowError, ValueError, OSError):
        return datetime.fromtimestamp(0, UTC)
