"""What a recorder reads off a real Kafka: the bounds that were asked for, and not a trace of it afterwards."""

from datetime import UTC, datetime, timedelta

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams import topics
from streams.client import Publisher
from streams.errors import BadInput
from streams.kafka.clients import closed
from streams.tools.audit.topics import Topics
from streams.tools.recording.kafka import KafkaSource
from streams.tools.recording.manifest import Selection

ACCEPTED, FLAGGED = topics.SAMPLES_ACCEPTED.name, topics.SAMPLES_FLAGGED.name
BEGAN = datetime.now(UTC) - timedelta(hours=1)


def minute(number: int) -> datetime:
    return BEGAN + timedelta(minutes=number)


@pytest.fixture
async def kafka(kafka_with_topics: str) -> str:
    """Eight records, a minute apart, of one key and so in one partition."""
    async with Publisher(kafka_with_topics) as publisher:
        for number in range(8):
            await publisher.raw(ACCEPTED, b"%d" % number, b"key", at=minute(number))
    return kafka_with_topics


async def read(kafka: str, **asked: object) -> list[int]:
    async with Topics(kafka, timeout_seconds=60) as reader:
        source = KafkaSource(reader)
        places = await source.places(Selection(**asked))
        return [int(raw.value or b"") for place in places for raw in [raw async for raw in source.records(place)]]


async def groups(kafka: str) -> set[str]:
    """Every consumer group that the broker knows; those of other tests among them."""
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        await admin.start()
        return {name for name, _ in await admin.list_consumer_groups()}
    finally:
        await closed(admin.close())


async def test_the_bounds_are_kept_and_nobody_joins_a_group(kafka: str):
    before = await groups(kafka)
    async with Topics(kafka, timeout_seconds=60) as reader:
        [place] = await KafkaSource(reader).places(Selection())

    assert (place.topic, place.first, place.end) == (ACCEPTED, 0, 8)
    assert await read(kafka) == list(range(8))
    assert await read(kafka, since=minute(3)) == [3, 4, 5, 6, 7]
    assert await read(kafka, since=minute(30)) == []
    assert await read(kafka, offsets={place.partition: (2, 5)}) == [2, 3, 4]
    assert await read(kafka, offsets={place.partition: (6, 100)}, since=minute(7)) == [7]
    assert await read(kafka, offsets={(place.partition + 1) % topics.PARTITIONS: (0, 8)}) == []
    assert await read(kafka, topics=(FLAGGED,)) == []
    assert await groups(kafka) == before


async def test_a_topic_that_is_not_there_is_said(kafka: str):
    with pytest.raises(BadInput, match=r"no topic generation\.none"):
        await read(kafka, topics=("generation.none",))
