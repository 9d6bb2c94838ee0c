"""Reads what is to be recorded off Kafka, and leaves no trace: joins no group and commits nothing."""

from collections.abc import AsyncGenerator
from contextlib import aclosing

from streams.errors import BadInput
from streams.tools.audit.records import Raw
from streams.tools.audit.topics import Topics
from streams.tools.recording.manifest import Place, Selection


class KafkaSource:
    """Implements ``record.Source``."""

    def __init__(self, topics: Topics) -> None:
        """Read by an opened reader of topics."""
        self._topics = topics

    async def places(self, selection: Selection) -> list[Place]:
        """See ``record.Source``.

        Raises:
            BadInput: If Kafka has not one of the topics, or no such partition of it.
        """
        ends = await self._topics.ends(selection.topics)
        if missing := set(selection.topics) - {topic for topic, _ in ends}:
            raise BadInput(f"Kafka has no topic {', '.join(sorted(missing))}: see `likeness topics`")
        since = None if selection.since is None else int(selection.since.timestamp() * 1000)
        begin = await self._topics.beginnings(ends, since)
        found = []
        for (topic, partition), end in sorted(ends.items()):
            first = begin.get((topic, partition), end)
            if selection.offsets:
                low, high = selection.offsets.get(partition, (0, 0))
                first, end = max(first, low), min(end, high)
            if first < end:
                found.append(Place(topic=topic, partition=partition, first=first, end=end))
        return found

    async def records(self, place: Place) -> AsyncGenerator[Raw, None]:
        """See ``record.Source``."""
        here = (place.topic, place.partition)
        async with aclosing(self._topics.records({here: place.end}, {here: place.first})) as records:
            async for raw in records:
                yield raw
