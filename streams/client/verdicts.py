"""Read verdicts from Kafka."""

from collections.abc import AsyncIterator, Iterable

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams import topics
from streams.errors import DependencyUnavailable
from streams.events import SampleJudged
from streams.foreign_records import tolerate_foreign_records
from streams.kafka_clients import closed
from streams.topics import Topic


async def verdicts(
    kafka: str, *, of: Iterable[Topic] = (topics.SAMPLES_ACCEPTED, topics.SAMPLES_FLAGGED), from_beginning: bool = False
) -> AsyncIterator[SampleJudged]:
    """Follow verdicts as they come. The same verdict may come twice; two different ones for a sample never do."""
    tolerate_foreign_records()
    consumer = AIOKafkaConsumer(
        *(topic.name for topic in of),
        bootstrap_servers=kafka,
        auto_offset_reset="earliest" if from_beginning else "latest",
    )
    try:
        await consumer.start()
        async for record in consumer:
            yield SampleJudged.model_validate_json(record.value)
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await closed(consumer.stop())
