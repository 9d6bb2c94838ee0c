"""Fills the topic of samples before anything is measured: the same images in every round, under other ids."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from streams import topics
from streams.client import Publisher
from streams.core.records import Message
from streams.events import GenerationRequested, SampleGenerated
from streams.ports import Services
from streams.settings import Settings
from streams.tools.audit.topics import Topics
from streams.tools.demo_requests import STRENGTHS
from tests.bench.workers import BROKER_SECONDS, working

MODEL = "face_gan"
#: Of the first sample; each further one has the next.
SEED = 1000


@dataclass(frozen=True)
class Filled:
    """Samples that wait on their topic, oldest first in every partition."""

    messages: tuple[Message, ...]
    images: tuple[bytes, ...]
    """The encoded image of each message."""


def requests(people: Sequence[str], count: int, name: str) -> list[GenerationRequested]:
    """Return requests of one sample each, people and strengths taking turns; ``name`` tells rounds apart."""
    return [
        GenerationRequested(
            source="bench",
            request_id=f"{name}-{number:05d}",
            identity=people[number % len(people)],
            model=MODEL,
            seed=SEED + number,
            strength=STRENGTHS[number // len(people) % len(STRENGTHS)],
        )
        for number in range(count)
    ]


async def fill(settings: Settings, services: Services, people: Sequence[str], count: int, name: str) -> Filled:
    """Have the samples generated, by a worker that is gone again when this returns."""
    kafka = settings.kafka or ""
    source = topics.GENERATION_SAMPLES
    async with Topics(kafka, timeout_seconds=BROKER_SECONDS) as reader:
        before = await reader.ends([source.name])
    async with Publisher(kafka) as publisher:
        await publisher.request(*requests(people, count, name))
    async with working(settings, "generate") as worker:
        await worker.until([source], sum(before.values()) + count)
    async with Topics(kafka, timeout_seconds=BROKER_SECONDS) as reader:
        found = [
            Message(raw.topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers))
            async for raw in reader.records(await reader.ends([source.name]))
            if raw.offset >= before[raw.topic, raw.partition]
        ]
    samples = [SampleGenerated.model_validate_json(message.value or b"") for message in found]
    images = await asyncio.gather(*(services.images.get(sample.image) for sample in samples if sample.image))
    return Filled(tuple(found), tuple(images))
