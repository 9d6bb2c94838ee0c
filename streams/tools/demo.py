"""The demonstration: enrol, ask, follow the verdicts, and add up what came of it."""

import asyncio
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from aiokafka import AIOKafkaConsumer
from aiokafka.errors import KafkaError

from streams import topics
from streams.client import Publisher
from streams.core.deadletter import explanation
from streams.errors import DependencyUnavailable
from streams.events import DEFAULT_MODEL, GenerationRequested, SampleJudged
from streams.foreign_records import tolerate_foreign_records
from streams.kafka_clients import closed
from streams.ports import Services
from streams.tools.demo_requests import MALFORMED, plan
from streams.tools.synthetic import enrol_synthetic

#: After so many seconds without an end, those that are missing are the audit's business.
PATIENCE_SECONDS = 90.0


@dataclass
class Followed:
    """What was seen on the three topics on which a sample ends."""

    verdicts: dict[str, SampleJudged] = field(default_factory=dict)
    dead: dict[str, dict[str, str]] = field(default_factory=dict)
    """Dead letters' ``likeness.dlq.*`` headers by id."""
    first_at: float | None = None
    """When the first verdict came, on the monotonic clock."""

    @property
    def ended(self) -> int:
        """Samples and messages that have ended."""
        return len(self.verdicts) + len(self.dead)


async def prepare(
    services: Services, count: int, *, identities: int, report: Callable[[str], None] = lambda _: None
) -> list[GenerationRequested]:
    """Enrol synthetic identities, withdraw the last one's consent, and return the requests to publish."""
    names = await enrol_synthetic(identities, services, model=DEFAULT_MODEL, report=report)
    *people, withdrawn = names
    await services.consent.withdraw(withdrawn, at=services.now(), note="withdrawn for the demonstration")
    return plan(count, people, withdrawn, source="demo")


async def publish(kafka: str, requests: Sequence[GenerationRequested]) -> None:
    """Publish the requests, and the malformed messages among them."""
    async with Publisher(kafka) as publisher:
        await publisher.request(*requests)
        for value in MALFORMED:
            await publisher.raw(topics.GENERATION_REQUESTS.name, value)


async def follow(kafka: str, expected: int, followed: Followed, report: Callable[[Followed], None]) -> None:
    """Collect ends until there are as many as expected, or nothing has come for long.

    Raises:
        DependencyUnavailable: If Kafka does not answer.
    """
    tolerate_foreign_records()
    names = [topic.name for topic in topics.ENDS]
    consumer = AIOKafkaConsumer(*names, bootstrap_servers=kafka, auto_offset_reset="earliest")
    try:
        await consumer.start()
        with suppress(TimeoutError):
            while followed.ended < expected:
                record = await asyncio.wait_for(consumer.getone(), PATIENCE_SECONDS)
                _note(record, followed)
                report(followed)
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await closed(consumer.stop())


def _note(record: object, followed: Followed) -> None:
    topic: str = getattr(record, "topic", "")
    if topic == topics.DEAD_LETTERS.name:
        why = explanation(getattr(record, "headers", ()))
        followed.dead[why["id"]] = why
        return
    judged = SampleJudged.model_validate_json(getattr(record, "value", b""))
    followed.verdicts[judged.sample_id] = judged
    if followed.first_at is None:
        followed.first_at = time.monotonic()
