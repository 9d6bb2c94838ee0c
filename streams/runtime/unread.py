"""What lies between a group's commits and the end of a topic: records, or nothing that anybody will ever read.

A producer's transaction ends with a mark that takes an offset and is no record. No consumer is given it, so none
commits past it: a group that has done everything looks as if one message waited.
"""

from collections.abc import Mapping
from typing import Any

from aiokafka import AIOKafkaConsumer, TopicPartition

#: Milliseconds for one look at what was fetched.
_POLL_MS = 200


async def first_records(
    consumer: AIOKafkaConsumer, begins: Mapping[TopicPartition, int], ends: Mapping[TopicPartition, int]
) -> dict[TopicPartition, Any]:
    """Return the first record of each partition from its beginning on; one without a record before its end has none.

    The consumer must be in no group; it is left with these partitions, and all of them paused.
    """
    consumer.assign(list(begins))
    for place, offset in begins.items():
        consumer.seek(place, offset)
    found: dict[TopicPartition, Any] = {}
    open_ = set(begins)
    while open_:
        fetched = await consumer.getmany(*open_, timeout_ms=_POLL_MS)
        found |= {place: records[0] for place, records in fetched.items()}
        for place in list(open_):
            if place in found or await consumer.position(place) >= ends[place]:
                consumer.pause(place)
                open_.discard(place)
    return found
