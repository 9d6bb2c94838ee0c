"""Ask a Kafka cluster for its metadata, and create our topics on it."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from streams.embedded.loopback import connects
from streams.errors import BadInput, DependencyUnavailable
from streams.topics import ALL, Topic

#: Brokers that keep each partition, where there are so many.
MOST_REPLICAS = 3

_PAUSE = 0.05


async def answers(bootstrap: str, timeout_seconds: float = 10.0) -> None:
    """Return when a broker answers a metadata request. Raises DependencyUnavailable."""
    # A connection that is refused is cheap to notice, and aiokafka would log each as an error.
    for number, server in enumerate(servers := bootstrap.split(","), start=1):
        try:
            await connects("kafka", server, timeout_seconds)
            break
        except DependencyUnavailable:
            if number == len(servers):
                raise
    await _asked(bootstrap, timeout_seconds)


async def create(
    bootstrap: str, topics: Sequence[Topic] = ALL, *, brokers: int = 1, timeout_seconds: float = 30.0
) -> list[str]:
    """Create those of the topics that are missing, and wait until each partition can be written to.

    Each partition is kept by as many brokers as there are, three at most. Where it is kept by three, two must have a
    record before it counts as published.

    Args:
        bootstrap: Any of the brokers.
        topics: All that should be there.
        brokers: How many there are: a cluster that has just started knows of fewer, and topics would be kept by these.
        timeout_seconds: How long to wait for an answer, and how long for the topics.

    Returns:
        The names of those that were created.

    Raises:
        BadInput: A topic is there with another number of partitions.
        DependencyUnavailable: Kafka does not answer, or refuses.
    """
    found = await _asked(bootstrap, timeout_seconds)
    for topic in topics:
        if topic.name in found and found[topic.name] != topic.partitions:
            raise BadInput(
                f"topic {topic.name} has {found[topic.name]} partitions, expected {topic.partitions}:"
                " a sample would leave its partition; delete the topic, or start with --fresh"
            )
    absent = [topic for topic in topics if topic.name not in found]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    try:
        async with asyncio.timeout(timeout_seconds):
            await admin.start()
            if absent:
                known = await _known_brokers(admin, brokers)
                new = [_new(topic, min(MOST_REPLICAS, known)) for topic in absent]
                response = await admin.create_topics(new, timeout_ms=int(timeout_seconds * 1000))
                _check(response.topic_errors)
            await _until_writable(admin, [topic.name for topic in topics])
    except (KafkaError, OSError) as error:
        raise DependencyUnavailable("kafka", f"creating topics at {bootstrap}: {error!r}") from error
    finally:
        await admin.close()
    return [topic.name for topic in absent]


async def _known_brokers(admin: AIOKafkaAdminClient, expected: int) -> int:
    """Return how many brokers there are, once as many are known as expected."""
    while True:
        known = len((await admin.describe_cluster())["brokers"])
        if known >= expected:
            return known
        await asyncio.sleep(_PAUSE)


async def _until_writable(admin: AIOKafkaAdminClient, names: list[str]) -> None:
    """So soon after a start, a partition may have no leader, or only one replica that is up to date."""
    while True:
        if _writable(await admin.describe_topics(names)):
            return
        await asyncio.sleep(_PAUSE)


def _new(topic: Topic, replicas: int) -> NewTopic:
    configs = {"retention.ms": str(topic.retention_ms), "min.insync.replicas": str(_in_sync(replicas))}
    return NewTopic(topic.name, topic.partitions, replicas, topic_configs=configs)


def _check(topic_errors: Sequence[tuple[Any, ...]]) -> None:
    for name, code, *message in topic_errors:
        if code not in (0, TopicAlreadyExistsError.errno):
            raise DependencyUnavailable("kafka", f"topic {name}: {for_code(code).__name__} {message}")


async def _asked(bootstrap: str, timeout_seconds: float) -> dict[str, int]:
    """Return the number of partitions of each topic."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(timeout_seconds * 1000))
    try:
        async with asyncio.timeout(timeout_seconds):
            await admin.start()
            described = await admin.describe_topics()
            return {topic["topic"]: len(topic["partitions"]) for topic in described}
    except (KafkaError, OSError) as error:
        raise DependencyUnavailable("kafka", f"metadata of {bootstrap}: {error!r}") from error
    finally:
        await admin.close()


def _writable(described: Sequence[dict[str, Any]]) -> bool:
    """Whether each partition has a leader, and as many replicas that are up to date as one of our topics asks for."""
    return all(
        topic["error_code"] == 0
        and all(
            partition["leader"] >= 0
            and len(partition["isr"]) >= _in_sync(min(MOST_REPLICAS, len(partition["replicas"])))
            for partition in topic["partitions"]
        )
        for topic in described
    )


def _in_sync(replicas: int) -> int:
    return max(1, replicas - 1)
