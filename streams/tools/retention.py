"""How long Kafka keeps what is on its topics: nothing can be taken out of one before that."""

from collections.abc import Sequence
from datetime import datetime, timedelta

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from streams import topics
from streams.core.erasure import Remains
from streams.errors import DependencyUnavailable

#: Kafka's own default of ``segment.ms``.
SEGMENT_MS = 7 * topics.DAY_MS


async def kept_on_topics(kafka: str, *, now: datetime) -> list[Remains]:
    """Return what remains on each topic, and the day on which the last of it is gone.

    A topic drops whole segments: the first record of one stays until its last is old enough (``retention.ms`` and
    ``segment.ms`` of the topic, as the broker says).

    Raises:
        DependencyUnavailable: If Kafka does not answer.
    """
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka)
    try:
        await admin.start()
        asked = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in topics.ALL]
        answers = await admin.describe_configs(asked)
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await admin.close()
    found = {name: _milliseconds(configs) for answer in answers for *_, name, configs in answer.resources}
    return [_remains(topic, found.get(topic.name, {}), now) for topic in topics.ALL]


def _milliseconds(configs: Sequence[tuple[object, ...]]) -> dict[str, int]:
    wanted = {"retention.ms", "segment.ms"}
    return {str(name): int(str(value)) for name, value, *_ in configs if name in wanted}


def _remains(topic: topics.Topic, configured: dict[str, int], now: datetime) -> Remains:
    retention = configured.get("retention.ms", topic.retention_ms)
    segment = configured.get("segment.ms", SEGMENT_MS)
    what = f"records on {topic.name} that name the person"
    if retention < 0:
        return Remains(what, "the topic keeps records for ever, and one record cannot be taken out: set retention.ms")
    until = now + timedelta(milliseconds=retention + segment)
    why = (
        f"one record cannot be taken out of a topic; it keeps records {retention / topics.DAY_MS:g} days, and a segment"
        f" of up to {segment / topics.DAY_MS:g} days until its last record is as old"
    )
    return Remains(what, why, until.isoformat(timespec="seconds"))
