"""From one worker process to two, with one compute thread each: what a second core is worth on the whole road."""

import asyncio
from collections.abc import Sequence
from statistics import median
from typing import Any

from aiokafka import AIOKafkaProducer

from streams import topics
from streams.core.ids import training_sample_id
from streams.errors import PartFailed
from streams.events import ImageRef, TrainingSamplePublished, to_json
from streams.settings import Settings
from streams.tools.audit.topics import Topics
from streams.wheels import Report
from tests.bench.filling import MODEL
from tests.bench.machine import Others
from tests.bench.measuring import batches_of, verdicts
from tests.bench.rates import rate, summary
from tests.bench.stage import samples as drawn
from tests.bench.standing import Stage
from tests.bench.workers import BROKER_SECONDS, working

#: Images that are made; every round judges them again, under other ids.
IMAGES = 64

Asked = tuple[str, ImageRef]
"""Whom an image should show, and where it is."""


async def two_workers(stage: Stage, samples: int, rounds: int, report: Report) -> dict[str, Any]:
    """Have one worker, then two, judge as many samples; again and again."""
    settings, services = stage.settings.model_copy(update={"threads": 1}), stage.services
    made = await drawn(services, IMAGES)
    asked = [(one.identity, await services.images.put(encoded)) for one, encoded in made]
    rates: dict[int, list[float]] = {1: [], 2: []}
    others: dict[int, list[float]] = {1: [], 2: []}
    for number in range(rounds):
        for workers in (1, 2) if number % 2 == 0 else (2, 1):
            busy = Others()
            rates[workers].append(await _round(settings, asked, samples, f"{workers}-workers-{number}", workers))
            others[workers].append(round(busy.cores(), 2))
            report(f"{workers} worker{'s'[: workers - 1]}: {rates[workers][-1]:.1f}/s")
    of_each = {name: summary(rates[n]) | {"others_cores": others[n]} for n, name in ((1, "one"), (2, "two"))}
    return {
        "unit": "verdicts/s",
        "samples": samples,
        "rounds": rounds,
        "threads": 1,
        "engine": settings.engine,
        "precision": settings.precision,
        **of_each,
        "ratio": round(median(rates[2]) / median(rates[1]), 3),
    }


async def _round(settings: Settings, asked: Sequence[Asked], count: int, name: str, workers: int) -> float:
    """Return verdicts per second of workers that wait before anything is published."""
    async with Topics(settings.kafka or "", timeout_seconds=BROKER_SECONDS) as reader:
        before = await reader.ends([topic.name for topic in topics.ENDS])
    async with working(settings, "judge", workers) as crew:
        await crew.at_work()
        await _publish(settings, asked, count, name)
        await crew.until(topics.ENDS, sum(before.values()) + count)
    judged = [one for one in await verdicts(settings, before) if one.source == name]
    if len({one.sample_id for one in judged}) != count or len(judged) != count:
        raise PartFailed(f"expected a verdict on each of {count} samples, got {len(judged)}")
    return rate(batches_of(judged), workers)


async def _publish(settings: Settings, asked: Sequence[Asked], count: int, name: str) -> None:
    """Publish as many samples to every partition, so that no worker is done before the other."""
    producer = AIOKafkaProducer(bootstrap_servers=settings.kafka, acks="all")
    await producer.start()
    try:
        deliveries = []
        for number in range(count):
            identity, image = asked[number % len(asked)]
            body = TrainingSamplePublished(
                run_id=name, step=0, index=number, identity=identity, model=MODEL, image=image
            )
            key = training_sample_id(name, 0, number).encode()
            partition = number % topics.PARTITIONS
            deliveries.append(
                await producer.send(topics.TRAINING_SAMPLES.name, to_json(body), key, partition=partition)
            )
        await asyncio.gather(*deliveries)
    finally:
        await producer.stop()
