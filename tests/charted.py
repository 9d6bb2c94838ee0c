"""Verdicts that make charts speak, and a monitor that reads them."""

import json
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np

from streams.adapters.ledger.charts.book import SqlChartBook
from streams.adapters.ledger.charts.shown import drawn
from streams.adapters.ledger.clips.book import SqlClipBook
from streams.adapters.ledger.database import Database
from streams.core.drift.chart import Observation, observe
from streams.core.drift.plan import Plan
from streams.core.gallery import Identity, Origin, Reference
from streams.core.records import Record
from streams.core.similarity import centroid, unit
from streams.events import SampleJudged
from streams.ports import Gallery, Monitoring
from streams.steps import monitor
from streams.testing.examiner import STUB_SPACE
from streams.testing.gallery import InMemoryGallery
from streams.testing.messages import message
from streams.testing.services import FrozenClock
from streams.testing.verdicts import judged
from streams.topics import SAMPLES_ACCEPTED

PLAN = Plan(window_seconds=60, lateness_seconds=30, calibration=50, charts=1, windows_between_false_alarms=50)
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)
BATCH = 40
QUIET = timedelta(seconds=60)
PEOPLE = ("anna", "bert")


def generated(count: int = 420, *, falls_at: int = 200, people: Sequence[str] = PEOPLE) -> list[SampleJudged]:
    """Return verdicts on two people, six a minute; similarity falls by two standard deviations."""
    rng = np.random.default_rng(7)
    values = 0.7 + 0.05 * (rng.normal(size=count) - 2 * (np.arange(count) >= falls_at))
    return [
        judged(
            number,
            identity=people[number % 2],
            judged_at=BEGIN + timedelta(seconds=10 * number),
            similarity=round(float(value), 4),
            margin=0.2,
        )
        for number, value in enumerate(values)
    ]


def trained(
    steps: int = 12, each: int = 8, *, falls_at: int = 9, run: str = "run-1", people: Sequence[str] = PEOPLE[:1]
) -> list[SampleJudged]:
    """Return verdicts on a training run, of anna unless others are named; from a step on similarity is much lower."""
    rng = np.random.default_rng(8)
    return [
        judged(
            f"{run} {step} {number}",
            kind="training",
            source=run,
            step=100 * step,
            identity=people[number % len(people)],
            judged_at=BEGIN + timedelta(seconds=step * each + number),
            similarity=round(float(0.7 + 0.05 * (rng.normal() - 6 * (step >= falls_at))), 4),
            margin=0.2,
        )
        for step in range(steps)
        for number in range(each)
    ]


def observations(verdicts: Iterable[SampleJudged]) -> list[Observation]:
    """Return what these verdicts say to the charts."""
    return [each for one in verdicts for each in observe(one, window_seconds=PLAN.window_seconds, plan=PLAN.version)]


async def gallery_of(verdicts: Iterable[SampleJudged]) -> InMemoryGallery:
    """Return a gallery in which anna and bert are enrolled, and every sample has an embedding near theirs."""
    gallery, rng = InMemoryGallery(STUB_SPACE), np.random.default_rng(9)
    towards = {name: np.eye(8)[number] for number, name in enumerate(PEOPLE)}
    for name, direction in towards.items():
        vectors = [unit((direction + 0.2 * rng.normal(size=8)).astype(np.float32)) for _ in range(6)]
        references = [Reference(f"{name}-{n}", name, Origin.SYNTHETIC, "0" * 64, one) for n, one in enumerate(vectors)]
        await gallery.enrol(Identity(name, Origin.SYNTHETIC, centroid(vectors), 6, 1.0), references)
    near = {
        one.sample_id: unit((towards[one.identity] + 0.2 * rng.normal(size=8)).astype(np.float32)) for one in verdicts
    }
    await gallery.remember(near)
    return gallery


class Bench:
    """One book, a monitor, and what it has told."""

    def __init__(self, database: Database, gallery: Gallery) -> None:
        self.database = database
        self.book = SqlChartBook(database, PLAN)
        clips = SqlClipBook(database, quiet=QUIET)
        self.services = Monitoring(self.book, clips, gallery, PLAN, FrozenClock())
        self.told: list[Record] = []

    async def read(self, verdicts: Sequence[SampleJudged], *, note: bool = True) -> None:
        """Read verdicts in batches, as an agent does."""
        for begin in range(0, len(verdicts), BATCH):
            batch = [message(one, topic=SAMPLES_ACCEPTED) for one in verdicts[begin : begin + BATCH]]
            effects = await monitor(batch, self.services)
            self.told += effects.records
            if note:
                await self.book.told(effects.told)

    def messages(self, topic: str = "drift.alerts") -> list[dict[str, Any]]:
        """Return what was told on a topic, in order."""
        return [json.loads(record.value or b"") for record in self.told if record.topic == topic]

    async def charts(self) -> list[dict[str, Any]]:
        """Return all that ``likeness drift show --json`` shows."""
        return [one.as_dict(PLAN) for one in await drawn(self.database, PLAN)]

    async def shown(self) -> str:
        """Return the same as text."""
        return json.dumps(await self.charts())
