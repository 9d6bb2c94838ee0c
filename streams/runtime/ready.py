"""Before a worker joins its group: do the topics exist, and are they cut alike?"""

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import topics
from streams.errors import DependencyUnavailable, Unready


async def find_topics(kafka: str) -> None:
    """Make sure that the broker has every topic. A worker that joins earlier gets no partitions for minutes.

    Raises:
        DependencyUnavailable: If the broker does not answer, or does not have them yet.
        Unready: If the topics' partition counts differ: samples would change their partition along the road.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        await admin.start()
        found = await admin.describe_topics([topic.name for topic in topics.ROAD])
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await admin.close()
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in found if not topic["error_code"]}
    missing = [topic.name for topic in topics.ROAD if not partitions.get(topic.name)]
    if missing:
        raise DependencyUnavailable("kafka", f"no topic {', '.join(missing)} yet; `likeness topics` creates them")
    if len(set(partitions.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(partitions.items()))
        raise Unready(f"expected every topic to have the same number of partitions, got {counts}: make them alike")
