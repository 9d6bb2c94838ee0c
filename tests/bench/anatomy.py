"""Where a batch's time goes: the judge's own step in this process, with a stopwatch before each service.

Kafka's consumer and Faust are left out here; what they take shows as the difference to the road's own batches.
"""

import asyncio
import inspect
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from aiokafka import AIOKafkaProducer

from streams.core.records import Message, Record
from streams.ports import Services, each_port
from streams.settings import Settings
from streams.steps import judge
from tests.bench.rates import per_batch, union

Spans = dict[str, list[tuple[float, float]]]

#: What is taken apart: so many batches after the first one.
BATCHES = 10


class Stopwatch:
    """Stands before a service and notes when each of its methods began and ended."""

    def __init__(self, name: str, service: Any, spans: Spans) -> None:
        """Note what ``service`` does in ``spans``, under ``name.method``."""
        self._name, self._service, self._spans = name, service, spans

    def __getattr__(self, method: str) -> Any:
        found = getattr(self._service, method)
        if not inspect.iscoroutinefunction(found):
            return found

        async def timed(*arguments: Any, **options: Any) -> Any:
            began = time.perf_counter()
            try:
                return await found(*arguments, **options)
            finally:
                self._spans[f"{self._name}.{method}"].append((began, time.perf_counter()))

        return timed


async def anatomy(settings: Settings, services: Services, messages: Sequence[Message]) -> dict[str, dict[str, float]]:
    """Judge and publish batch by batch; return calls and milliseconds per batch, by call, without the first batch."""
    spans: Spans = defaultdict(list)
    watched = each_port(services, lambda name, port: Stopwatch(name, port, spans))
    size = settings.batch_size
    began = time.perf_counter()
    batches = 0
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        for start in range(0, len(messages), size):
            effects = await judge(messages[start : start + size], watched)
            await Stopwatch("kafka", _Topics(producer), spans).publish(effects.records)
            await watched.ledger.published(effects.decided)
            if start:
                batches += 1
            else:
                spans.clear()
                began = time.perf_counter()
        whole = time.perf_counter() - began
    finally:
        await producer.stop()
    own = whole - union(span for some in spans.values() for span in some)
    rows = per_batch(spans, batches)
    rows["the step's own code"] = {"calls": 1.0, "ms": round(own * 1000 / batches, 2)}
    rows["in all"] = {"calls": 1.0, "ms": round(whole * 1000 / batches, 2)}
    return rows


class _Topics:
    """Publishes as the agent does: sends all, then awaits all."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def publish(self, records: Sequence[Record]) -> None:
        deliveries = [
            await self._producer.send(
                record.topic,
                record.value,
                record.key,
                headers=list(record.headers),
                timestamp_ms=int(record.time.timestamp() * 1000),
            )
            for record in records
        ]
        await asyncio.gather(*deliveries)
