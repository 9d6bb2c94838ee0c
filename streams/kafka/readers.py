"""Reads topics with aiokafka's own consumer: whoever reads beside Faust makes it here, so that nothing stops it."""

from collections.abc import AsyncGenerator
from typing import Any

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams.errors import DependencyUnavailable
from streams.kafka.clients import closed
from streams.kafka.foreign_records import tolerate_foreign_records


def consumer(kafka: str, *topics: str, from_beginning: bool = True, **options: Any) -> AIOKafkaConsumer:
    """Return a consumer that gets past whatever strangers write; it is not connected yet, and is to be ``closed``.

    Args:
        kafka: Bootstrap servers.
        topics: What it reads; none where partitions are assigned later.
        from_beginning: Whether it begins with the oldest record where it has no place, or with the next one.
        options: What else aiokafka takes.

    Raises:
        Unready: If aiokafka is another release than the one whose reader was tested.
    """
    tolerate_foreign_records()
    begin = "earliest" if from_beginning else "latest"
    return AIOKafkaConsumer(*topics, bootstrap_servers=kafka, auto_offset_reset=begin, **options)


async def follow(kafka: str, *topics: str, from_beginning: bool = False) -> AsyncGenerator[Any, None]:
    """Yield records as they come, in no group; close it by ``contextlib.aclosing`` where it is left early.

    Raises:
        DependencyUnavailable: If Kafka does not answer.
    """
    reader = consumer(kafka, *topics, from_beginning=from_beginning)
    try:
        await reader.start()
        async for record in reader:
            yield record
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await closed(reader.stop())
