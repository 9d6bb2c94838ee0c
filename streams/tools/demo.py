"""The demonstration: enrol, ask, follow the verdicts, and add up what came of it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, field
from typing import Any

from streams import topics
from streams.client import Publisher
from streams.client.verdicts import verdict_of
from streams.core.deadletter import explanation
from streams.events import DEFAULT_MODEL, GenerationRequested, SampleJudged
from streams.kafka.readers import follow as follow_topics
from streams.ports import Services
from streams.tools.demo_requests import MALFORMED, plan
from streams.tools.synthetic import enrol_synthetic

log = logging.getLogger(__name__)

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
    names = [topic.name for topic in topics.ENDS]
    with suppress(TimeoutError):
        async with aclosing(follow_topics(kafka, *names, from_beginning=True)) as records:
            while followed.ended < expected:
                note(await asyncio.wait_for(anext(records), PATIENCE_SECONDS), followed)
                report(followed)


def note(record: Any, followed: Followed) -> None:
    """Take in one record of the three topics; what is no end of a sample is skipped, with a warning."""
    if record.topic == topics.DEAD_LETTERS.name:
        why = explanation(record.headers)
        if "id" in why:
            followed.dead[why["id"]] = why
        else:
            log.warning("expected a dead letter at offset %d, got a record without an id: skipped", record.offset)
    elif (judged := verdict_of(record)) is not None:
        followed.verdicts[judged.sample_id] = judged
        if followed.first_at is None:
            followed.first_at = time.monotonic()
