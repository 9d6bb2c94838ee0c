"""The topics as the auditor reads them: its own consumer, without a group, from the first record to a given end."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from types import TracebackType
from typing import Any

from aiokafka import TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.errors import DependencyUnavailable
from streams.kafka.clients import closed
from streams.kafka.readers import consumer
from streams.tools.audit.records import Raw

Offsets = dict[tuple[str, int], int]
"""(topic, partition) to offset."""

_POLL_MS = 500
_ASK_AGAIN_SECONDS = 0.2


class Topics:
    """Reads, and leaves no trace: joins no group, commits nothing, creates no topic."""

    def __init__(self, bootstrap: str, *, timeout_seconds: float) -> None:
        """Take the broker's address; after ``timeout_seconds`` without an answer it is unavailable."""
        self._bootstrap = bootstrap
        self._timeout = timeout_seconds

    async def __aenter__(self) -> "Topics":
        """Connect."""
        self._admin = AIOKafkaAdminClient(bootstrap_servers=self._bootstrap)
        self._consumer = consumer(self._bootstrap, group_id=None, enable_auto_commit=False)
        try:
            async with self._answering():
                await self._admin.start()
                await self._consumer.start()
        except BaseException:
            await self._close()
            raise
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._close()

    async def _close(self) -> None:
        await closed(self._consumer.stop(), self._admin.close())

    @asynccontextmanager
    async def _answering(self) -> AsyncIterator[None]:
        try:
            async with asyncio.timeout(self._timeout):
                yield
        except (KafkaError, OSError) as error:  # TimeoutError is an OSError
            what = str(error) or f"nothing came for {self._timeout:g} s"
            detail = f"{self._bootstrap}: {what}; check LIKENESS_KAFKA, and that the broker runs"
            raise DependencyUnavailable("kafka", detail) from error

    async def committed(self, group: str) -> Offsets:
        """Return the group's committed offsets; a partition that it never committed is missing."""
        async with self._answering():
            while True:
                try:
                    held = await self._admin.list_consumer_group_offsets(group)
                except KafkaError as error:
                    # A young broker is still choosing who keeps the offsets.
                    if not error.retriable:
                        raise
                    await asyncio.sleep(_ASK_AGAIN_SECONDS)
                else:
                    return {(place.topic, place.partition): one.offset for place, one in held.items()}

    async def ends(self, topics: Iterable[str]) -> Offsets:
        """Return the offset after the last record of every partition; a topic that is not there has none."""
        wanted = set(topics)
        async with self._answering():
            described = await self._admin.describe_topics()
            places = [
                TopicPartition(topic["topic"], partition["partition"])
                for topic in described
                if topic["topic"] in wanted
                for partition in topic["partitions"]
            ]
            ends = await self._consumer.end_offsets(places) if places else {}
        return {(place.topic, place.partition): offset for place, offset in ends.items()}

    async def beginnings(self, places: Iterable[tuple[str, int]], since_ms: int | None = None) -> Offsets:
        """Return the first offset of each partition; with a time, the first that is not older, in ms since 1970.

        A partition that has nothing as young is missing.
        """
        wanted = [TopicPartition(*place) for place in places]
        if not wanted:
            return {}
        async with self._answering():
            found = await self._consumer.beginning_offsets(wanted)
            if since_ms is not None:
                times = await self._consumer.offsets_for_times(dict.fromkeys(wanted, since_ms))
                found = {place: max(found[place], one.offset) for place, one in times.items() if one is not None}
        return {(place.topic, place.partition): offset for place, offset in found.items()}

    async def records(
        self, until: Mapping[tuple[str, int], int], since: Mapping[tuple[str, int], int] | None = None
    ) -> AsyncGenerator[Raw, None]:
        """Yield every record before the given offsets; those of one partition come in order.

        Args:
            until: The offset after the last record of each partition.
            since: That of the first one; the oldest that there is, where none is given or it is gone.
        """
        open_ = {TopicPartition(*place): offset for place, offset in until.items()}
        async with self._answering():
            starts = await self._consumer.beginning_offsets(list(open_)) if open_ else {}
        for place, offset in (since or {}).items():
            starts[TopicPartition(*place)] = max(offset, starts[TopicPartition(*place)])
        open_ = {place: offset for place, offset in open_.items() if starts[place] < offset}
        self._consumer.assign(list(open_))
        for place in open_:
            self._consumer.seek(place, starts[place])
        reached = dict(starts)
        last_progress = asyncio.get_running_loop().time()
        while open_:
            async with self._answering():
                batches = await self._consumer.getmany(*open_, timeout_ms=_POLL_MS)
                for place in list(open_):
                    position = await self._consumer.position(place)
                    if position > reached[place]:
                        reached[place], last_progress = position, asyncio.get_running_loop().time()
                    if position >= open_[place]:
                        self._consumer.pause(place)
            for place, batch in batches.items():
                for record in batch:
                    if record.offset < open_[place]:
                        yield _raw(record)
            open_ = {place: offset for place, offset in open_.items() if reached[place] < offset}
            if open_ and asyncio.get_running_loop().time() - last_progress > self._timeout:
                stuck = next(iter(open_))
                detail = (
                    f"{self._bootstrap}: no record of {stuck.topic}[{stuck.partition}] after offset {reached[stuck]}"
                    f" came for {self._timeout:g} s, the end is {open_[stuck]}; check the broker's log"
                )
                raise DependencyUnavailable("kafka", detail)


def _raw(record: Any) -> Raw:
    place = (record.topic, record.partition, record.offset)
    return Raw(*place, record.key, record.value, tuple(record.headers), record.timestamp)
