"""Before a worker joins its group: do the topics exist, and are they cut alike?"""

from collections.abc import Sequence

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams import topics
from streams.errors import DependencyUnavailable, Unready
from streams.topics import Topic


async def find_topics(kafka: str, beside: Sequence[Topic] = ()) -> None:
    """Make sure that the broker has every topic. A worker that joins earlier gets no partitions for minutes.

    Args:
        kafka: Bootstrap servers.
        beside: Topics that this worker writes to, beside those of the road.

    Raises:
        DependencyUnavailable: If the broker does not answer, or does not have them yet.
        Unready: If the topics' partition counts differ: samples would change their partition along the road.
    """
    names = [topic.name for topic in (*topics.ROAD, *beside)]
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        await admin.start()
        found = await admin.describe_topics(names)
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await admin.close()
    partitions = {topic["topic"]: len(topic["partitions"]) for topic in found if not topic["error_code"]}
    missing = [name for name in names if not partitions.get(name)]
    if missing:
        raise DependencyUnavailable("kafka", f"no topic {', '.join(missing)} yet; `likeness topics` creates them")
    on_the_road = {topic.name: partitions[topic.name] for topic in topics.ROAD}
    if len(set(on_the_road.values())) > 1:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(on_the_road.items()))
        raise Unready(f"expected every topic to have the same number of partitions, got {counts}: make them alike")
