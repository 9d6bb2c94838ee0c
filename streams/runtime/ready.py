"""Before a worker joins its group: do its topics exist, and are they cut alike?"""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.errors import DependencyUnavailable, Unready
from streams.topics import Topic


async def wait_for_topics(kafka: str, sources: Sequence[Topic]) -> None:
    """Return when the broker has every topic. A worker that joins earlier gets no partitions for minutes.

    Raises:
        DependencyUnavailable: If the broker does not answer, or does not have them yet.
        Unready: If a topic has another partition count: samples would change their partition along the road.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        await admin.start()
        found = await admin.describe_topics([topic.name for topic in sources])
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await admin.close()
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in found if not topic["error_code"]}
    missing = [topic.name for topic in sources if not partitions.get(topic.name)]
    if missing:
        raise DependencyUnavailable("kafka", f"no topic {', '.join(missing)} yet; `likeness topics` creates them")
    for topic in sources:
        if partitions[topic.name] != topic.partitions:
            raise Unready(
                f"topic {topic.name} has {partitions[topic.name]} partitions, expected {topic.partitions}:"
                " every topic that carries samples must be cut alike"
            )
