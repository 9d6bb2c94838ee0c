"""One worker of one thread, two of them, and the bare engine with two: what a second core is worth on the whole road.

Two such workers are what ``likeness worker --workers auto`` starts on two cores, and compute with as many threads as
the bare engine does: so this is also what the whole road leaves of the engine.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from itertools import cycle, islice
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
from tests.bench.expected import TWO_THREADS
from tests.bench.filling import MODEL
from tests.bench.machine import Others
from tests.bench.measuring import Round, bare, batches_of, verdicts
from tests.bench.rates import rate, summary
from tests.bench.stage import judged
from tests.bench.stage import samples as drawn
from tests.bench.standing import Stage
from tests.bench.workers import BROKER_SECONDS, working

#: Images that are made; every round judges them again, under other ids.
IMAGES = 64

Asked = tuple[str, ImageRef]
"""Whom an image should show, and where it is."""


async def two_workers(stage: Stage, samples: int, rounds: int, report: Report) -> dict[str, Any]:
    """Have one worker, then two, then the bare engine do as many samples; again and again."""
    settings, services = stage.settings.model_copy(update={"threads": 1}), stage.services
    made = await drawn(services, IMAGES)
    seen = await judged(services, made)
    again = seen.again / max(1, seen.faces)
    asked = [(one.identity, await services.images.put(encoded)) for one, encoded in made]
    images = [encoded for _, encoded in islice(cycle(made), samples)]

    def by(workers: int) -> Callable[[str], Awaitable[Round]]:
        return lambda name: _round(settings, asked, samples, f"{workers}-{name}", workers)

    crews = {"one": 1, "two": 2}
    turns = {name: by(workers) for name, workers in crews.items()}
    turns["bare"] = lambda _: bare(services, images, again)
    rates: dict[str, list[float]] = {name: [] for name in turns}
    others: dict[str, list[float]] = {name: [] for name in turns}
    for number in range(rounds):
        for name in turns if number % 2 == 0 else reversed(turns):
            one = await turns[name](f"workers-{number}")
            rates[name].append(rate(one.batches, crews.get(name, 1)))
            others[name].append(round(one.others_cores, 2))
            report(f"{name}: {rates[name][-1]:.1f}/s")
    return {
        "unit": "verdicts/s",
        "samples": samples,
        "rounds": rounds,
        "threads": 1,
        "bare_threads": stage.settings.threads,
        "engine": settings.engine,
        "precision": settings.precision,
        **{name: summary(rates[name]) | {"others_cores": others[name]} for name in turns},
        "ratio": round(median(rates["two"]) / median(rates["one"]), 3),
        **_of_bare(rates, stage.settings.threads),
    }


def _of_bare(rates: Mapping[str, Sequence[float]], threads: int) -> dict[str, Any]:
    if threads != 2:
        why = f"two workers compute with 2 threads, the bare engine did with {threads}: leave --threads out"
        return {"of_bare": None, "missing": {TWO_THREADS: why}}
    return {"of_bare": round(median(rates["two"]) / median(rates["bare"]), 3), "missing": {}}


async def _round(settings: Settings, asked: Sequence[Asked], count: int, name: str, workers: int) -> Round:
    """Return the batches of workers that wait before anything is published."""
    async with Topics(settings.kafka or "", timeout_seconds=BROKER_SECONDS) as reader:
        before = await reader.ends([topic.name for topic in topics.ENDS])
    async with working(settings, "judge", workers) as crew:
        await crew.at_work()
        others = Others()
        await _publish(settings, asked, count, name)
        await crew.until(topics.ENDS, sum(before.values()) + count)
        disturbed = others.cores()
    ours = [one for one in await verdicts(settings, before) if one.source == name]
    if len({one.sample_id for one in ours}) != count or len(ours) != count:
        raise PartFailed(f"expected a verdict on each of {count} samples, got {len(ours)}")
    return Round(batches_of(ours), disturbed)


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
