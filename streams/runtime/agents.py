"""The loop around a step: read a batch, run the step, publish and await every delivery, then count it as done.

The order is what keeps the promise that nothing is lost and nothing is judged twice: an event is acknowledged only when
everything that follows from it is durable, and in the order in which it was read. Whatever is not foreseen ends the
process: the batch comes again, to this worker or another one.

One batch follows the other. Looking ahead would fill the part of a batch's time in which nothing is examined; but then
two batches may bring one sample, and which of them registers it first is a race, and one that fails takes the other
with it. A second worker fills the same gaps, and leaves the order as it is (``docs/PERFORMANCE.md``).
"""

import asyncio
import logging
import time
from collections.abc import Iterable
from functools import partial
from typing import Any, TypeVar, cast

import faust
from mode import CrashingSupervisor

from streams.core.records import Message, Record
from streams.runtime.batches import batches
from streams.runtime.metrics import Metrics
from streams.runtime.patience import Patience
from streams.runtime.roles import Role
from streams.settings import Settings

S = TypeVar("S")

log = logging.getLogger(__name__)


def add_agent(
    app: faust.App,
    role: Role[S],
    services: S,
    settings: Settings,
    patience: Patience,
    metrics: Metrics | None = None,
) -> None:
    """Make the app run the role's step on the role's topics."""
    metrics = metrics or Metrics()
    raw: dict[str, Any] = {"key_type": bytes, "value_type": bytes, "key_serializer": "raw", "value_serializer": "raw"}
    source = app.topic(*(topic.name for topic in role.sources), **raw)

    async def run(stream: Any) -> None:
        # Or Faust would count a message as done as soon as the next one is asked for, and commit that.
        stream.enable_acks = False
        async for events in batches(stream, role.batch_size(settings), settings.batch_wait_seconds):
            messages, began = [_message(event) for event in events], time.monotonic()
            metrics.read(messages)
            try:
                effects = await patience(partial(role.step, messages, services))
                await _deliver(app, effects.records)
                await patience(partial(role.note, effects, services))
                for event in events:
                    await stream.ack(event)
            except Exception:
                places = ", ".join(f"{m.topic}[{m.partition}]@{m.offset}" for m in messages)
                log.exception("%s cannot go on with %s: this process ends, the batch comes again", role.name, places)
                raise
            metrics.done(effects, seconds=time.monotonic() - began)

    app.agent(source, name=f"likeness.{role.name}", concurrency=1, supervisor_strategy=CrashingSupervisor)(run)


def _message(event: Any) -> Message:
    raw = event.message
    return Message(raw.topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers or ()))


async def _deliver(app: faust.App, records: Iterable[Record]) -> None:
    """Send every record and wait until the brokers have them all: a send that is not awaited may be lost."""
    producer = app.producer
    deliveries = [
        await producer.send(
            record.topic,
            record.key,
            record.value,
            None,
            record.time.timestamp(),
            cast(list[tuple[str, bytes]], list(record.headers)),  # Kafka itself allows a header without a value
        )
        for record in records
    ]
    await asyncio.gather(*deliveries)
