"""Messages as they are read from Kafka, with a default for everything that a test does not care about."""

import base64
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from streams.core.records import Message, Record
from streams.core.schemas import BODIES
from streams.events import Body, GenerationRequested, Headers, TrainingSamplePublished, to_json
from streams.ports import Services
from streams.steps import Effects
from streams.topics import Topic

Step = Callable[[Sequence[Message], Services], Awaitable[Effects]]

TRACE: Headers = (("traceparent", b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),)


def request(**fields: Any) -> GenerationRequested:
    """Return a request for one sample of anna."""
    return GenerationRequested(**{"source": "shop", "request_id": "r-1", "identity": "anna", "seed": 7} | fields)


def training_sample(encoded: bytes, **fields: Any) -> TrainingSamplePublished:
    """Return a training sample of anna that brings its image along."""
    inline = base64.b64encode(encoded).decode()
    defaults = {"run_id": "run-1", "step": 100, "index": 0, "identity": "anna", "model": "face_gan"}
    return TrainingSamplePublished(**defaults | {"inline_image": inline} | fields)


def message(
    content: Body | bytes | None,
    *,
    topic: Topic | None = None,
    offset: int = 0,
    partition: int = 0,
    key: bytes | None = b"key",
    headers: Headers = TRACE,
) -> Message:
    """Return a body, or any bytes, as read; a body's topic is the one that carries it."""
    value = to_json(content) if isinstance(content, Body) else content
    carrier = topic or next(each for each, body in BODIES.items() if isinstance(content, body))
    return Message(carrier.name, partition, offset, key, value, headers)


def read_back(record: Record, *, offset: int = 0, partition: int = 0) -> Message:
    """Return a published record as the next step reads it."""
    return Message(record.topic, partition, offset, record.key, record.value, record.headers)


async def deliver(
    step: Step, messages: Sequence[Message], services: Services, into: list[Record] | None = None
) -> list[Record]:
    """Run a step and publish what it wants published, as an agent does; return the records.

    Args:
        step: What to run.
        messages: One batch.
        services: What the step uses.
        into: Where published records go too: it has them even if the note of their delivery fails.
    """
    effects = await step(messages, services)
    if into is not None:
        into.extend(effects.records)
    await services.ledger.published(effects.decided)
    return list(effects.records)
