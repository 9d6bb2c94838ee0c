"""A training run that breaks on purpose, on real Kafka: it publishes, listens, and ends when it is told to."""

import asyncio
import json
from collections import Counter
from collections.abc import Callable
from contextlib import aclosing

import pytest

from generators import rehearsal
from generators.rehearsal import UPDATES, Ailing, Rehearsed, rehearse
from streams import topics
from streams.client.publisher import Publisher
from streams.client.training import TrainingFeed
from streams.errors import DependencyUnavailable
from streams.events import TrainingAdvised, to_json
from streams.kafka.readers import follow
from tests.tiny_dcgan import tiny_dcgan

TARGETS = {"bela": [1.0] + [0.0] * 99, "anna": [0.0] * 99 + [1.0]}
SAMPLES = 3


async def advise(kafka: str, run: str, advice: Callable[[int], str]) -> None:
    """Say of every step what it is to be told, sample by sample, as the monitor does."""
    seen: Counter[int] = Counter()
    records = follow(kafka, topics.TRAINING_SAMPLES.name, from_beginning=True)
    async with Publisher(kafka) as publisher, aclosing(records):
        async for record in records:
            sample = json.loads(record.value)
            if sample["run_id"] != run:
                continue
            step = sample["step"]
            seen[step] += 1
            body = {"run_id": run, "step": step, "revision": seen[step], "complete": False, "reason": "so"}
            counted = {"samples": seen[step], "accepted": seen[step], "flagged": {}, "best_step": UPDATES}
            said = TrainingAdvised.model_validate({**body, **counted, "advice": advice(step)})
            await publisher.raw(topics.TRAINING_FEEDBACK.name, to_json(said), run.encode())


async def rehearsed(kafka: str, run: str, advice: Callable[[int], str] | None) -> Rehearsed:
    """Rehearse beside somebody who advises, or beside nobody."""

    def work() -> Rehearsed:
        with TrainingFeed(kafka, run_id=run, model="gan") as feed:
            return rehearse(feed, run, Ailing(tiny_dcgan()), TARGETS, samples=SAMPLES, report=lambda _: None)

    advising = asyncio.create_task(advise(kafka, run, advice)) if advice else None
    try:
        return await asyncio.to_thread(work)
    finally:
        if advising is not None:
            advising.cancel()
            await asyncio.wait({advising})


async def test_the_run_ends_one_step_after_the_one_that_was_told_to_stop(kafka_with_topics: str):
    done = await rehearsed(kafka_with_topics, "told", lambda step: "stop" if step >= 3 * UPDATES else "continue")
    assert done == Rehearsed("told", steps=4, samples=4 * SAMPLES, stopped_at=3 * UPDATES, best_step=UPDATES)


async def test_a_run_that_nobody_stops_ends_by_itself(kafka_with_topics: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rehearsal, "MOST_STEPS", 3)
    done = await rehearsed(kafka_with_topics, "untold", lambda _: "continue")
    assert (done.steps, done.stopped_at, done.best_step) == (3, None, UPDATES)


async def test_silence_is_an_error_that_says_what_is_missing(kafka_with_topics: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(rehearsal, "PATIENCE_SECONDS", 0.5)
    with pytest.raises(DependencyUnavailable, match=r"0 of 3 samples are judged.*role monitor"):
        await rehearsed(kafka_with_topics, "unheard", None)
