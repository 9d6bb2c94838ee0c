"""What no ordinary verdict can come of, without end: the corpus again and again, each time under new names."""

import random
from collections.abc import Iterator
from itertools import count

from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.partitioner import DefaultPartitioner

from streams import topics
from tests.poison import Poison, corpus
from tests.raw_records import RawRecord, send


def drops(run: str, identity: str, draw: random.Random) -> Iterator[Poison]:
    """Yield all of it in an order that is drawn, and then all of it anew.

    What opens to many megabytes is left out: one worker at a time meets it, in a test of its own.

    Args:
        run: Begins the names of the requests and training runs.
        identity: Somebody who is enrolled.
        draw: Draws the order.
    """
    for number in count():
        pieces = [one for one in corpus(f"{run}-{number}", identity) if "batch-unreadable" not in one.reasons]
        yield from draw.sample(pieces, len(pieces))


async def inject(kafka: str, poison: Poison, draw: random.Random) -> tuple[int, int]:
    """Send one piece; return its partition and offset.

    Raises:
        KafkaError: If no broker acknowledged it; it may be there all the same.
    """
    places = list(range(topics.PARTITIONS))
    partition = DefaultPartitioner()(poison.key, places, places) if poison.key else draw.choice(places)
    place = TopicPartition(poison.topic, partition)
    record = RawRecord(poison.value, poison.key, poison.headers, poison.time_ms)
    async with AIOKafkaProducer(bootstrap_servers=kafka, acks="all", request_timeout_ms=20_000) as producer:
        return place.partition, await send(producer, place, record, codec=poison.codec)
