"""What ``ports.ChartBook`` and the monitor promise, on the SQL ledger and on every database."""

import json
import random
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select

from streams.adapters.chart_rows import outbox, samples
from streams.adapters.charts import SqlChartBook
from streams.adapters.charts_drawn import drawn
from streams.adapters.database import Database
from streams.core.drift.book import turn
from streams.core.drift.chart import observe
from streams.core.drift.plan import Plan
from streams.core.gallery import Identity, Origin, Reference
from streams.core.records import Record
from streams.core.similarity import centroid, unit
from streams.events import SampleJudged
from streams.ports import Monitoring
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


def generated(count: int = 420, *, falls_at: int = 200) -> list[SampleJudged]:
    """Return verdicts on two people, six a minute; similarity falls by two standard deviations."""
    rng = np.random.default_rng(7)
    values = 0.7 + 0.05 * (rng.normal(size=count) - 2 * (np.arange(count) >= falls_at))
    return [
        judged(
            number,
            identity=("anna", "bert")[number % 2],
            judged_at=BEGIN + timedelta(seconds=10 * number),
            similarity=round(float(value), 4),
            margin=0.2,
        )
        for number, value in enumerate(values)
    ]


def trained(steps: int = 12, each: int = 8, *, falls_at: int = 9) -> list[SampleJudged]:
    """Return verdicts on a training run of anna; from a step on similarity is much lower."""
    rng = np.random.default_rng(8)
    return [
        judged(
            10_000 + step * each + number,
            kind="training",
            source="run-1",
            step=100 * step,
            judged_at=BEGIN + timedelta(seconds=step * each + number),
            similarity=round(float(0.7 + 0.05 * (rng.normal() - 6 * (step >= falls_at))), 4),
            margin=0.2,
        )
        for step in range(steps)
        for number in range(each)
    ]


class Bench:
    """One book, a monitor, and what it has told."""

    def __init__(self, database: Database, gallery: InMemoryGallery) -> None:
        self.database = database
        self.book = SqlChartBook(database, PLAN)
        self.services = Monitoring(self.book, gallery, PLAN, FrozenClock())
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
        return [json.loads(record.value or b"") for record in self.told if record.topic == topic]

    async def shown(self) -> str:
        """Return all that ``likeness drift show --json`` shows."""
        return json.dumps([one.as_dict(PLAN) for one in await drawn(self.database, PLAN)])


@pytest.fixture
async def gallery() -> InMemoryGallery:
    """Anna and bert are enrolled, and every sample has an embedding near theirs."""
    gallery, rng = InMemoryGallery(STUB_SPACE), np.random.default_rng(9)
    towards = {"anna": np.eye(8)[0], "bert": np.eye(8)[1]}
    for name, direction in towards.items():
        vectors = [unit((direction + 0.2 * rng.normal(size=8)).astype(np.float32)) for _ in range(3)]
        references = [Reference(f"{name}-{n}", name, Origin.SYNTHETIC, "0" * 64, one) for n, one in enumerate(vectors)]
        await gallery.enrol(Identity(name, Origin.SYNTHETIC, centroid(vectors), 3, 1.0), references)
    near = {
        one.sample_id: unit((towards[one.identity] + 0.2 * rng.normal(size=8)).astype(np.float32))
        for one in [*generated(), *trained()]
    }
    await gallery.remember(near)
    return gallery


@pytest.fixture
async def bench(database: Database, gallery: InMemoryGallery) -> Bench:
    return Bench(database, gallery)


@pytest.fixture
async def another(bench: Bench, gallery: InMemoryGallery, tmp_path) -> AsyncIterator[Callable[[], Any]]:
    """As many benches with a book of their own as a test wants."""
    opened: list[Database] = []

    async def make() -> Bench:
        opened.append(Database(f"sqlite:///{tmp_path}/{len(opened)}.db"))
        await opened[-1].open()
        return Bench(opened[-1], gallery)

    yield make
    for each in opened:
        await each.close()


async def test_a_fall_is_told_once_for_every_chart_that_sees_it(bench: Bench):
    await bench.read(generated())

    raised = bench.messages()
    assert {(one["kind"], one.get("identity")) for one in raised} == {
        ("identity", "anna"),
        ("identity", "bert"),
        ("model", None),
    }
    assert {(one["change"], one["statistic"], one["revision"]) for one in raised} == {("raised", "fall", 1)}
    begun = BEGIN + timedelta(seconds=10 * 200)
    for one in raised:
        assert abs(datetime.fromisoformat(one["since"]) - begun) <= timedelta(minutes=3)


@pytest.mark.parametrize("seed", [1, 2])
async def test_shuffled_doubled_and_replayed_input_gives_the_same_charts_byte_for_byte(bench, another, seed):
    verdicts = generated() + trained()
    await bench.read(verdicts)
    other = await another()
    muddled = verdicts + random.Random(seed).sample(verdicts, 100)
    random.Random(seed).shuffle(muddled)
    await other.read(muddled)
    await other.read(verdicts[:50])

    assert await other.shown() == await bench.shown()
    count = select(func.count()).select_from(samples)
    stored = [await each.database.transact(lambda c: c.execute(count).scalar()) for each in (bench, other)]
    assert stored == [2 * len(generated()) + len(trained())] * 2


async def test_what_is_late_by_less_than_was_allowed_changes_nothing_that_was_told(bench, another):
    verdicts = generated()
    await bench.read(verdicts)
    other = await another()
    # Neighbours within the allowed lateness change places.
    await other.read([one for at in range(0, len(verdicts), 3) for one in reversed(verdicts[at : at + 3])])

    def content(told: list[Record]) -> list[tuple[str, bytes | None]]:
        return sorted((record.topic, record.value) for record in told)

    assert content(other.told) == content(bench.told)
    assert {one["change"] for one in other.messages()} == {"raised"}


async def test_a_sample_that_comes_too_late_revises_what_was_said(bench, another):
    verdicts = generated()
    late = verdicts[210]
    await bench.read([one for one in verdicts if one is not late])
    told = len(bench.told)
    await bench.read([late])

    revisions = bench.messages()[told:]
    assert revisions
    assert all((one["change"], one["revision"] > 1) == ("revised", True) for one in revisions)
    straight = await another()
    await straight.read(verdicts)
    assert await bench.shown() == await straight.shown()


async def test_a_late_sample_among_those_in_control_makes_another_calibration(bench, another):
    verdicts = generated()
    await bench.read([*verdicts[:10], *verdicts[11:]])
    await bench.read([verdicts[10]])
    straight = await another()
    await straight.read(verdicts)
    assert await bench.shown() == await straight.shown()


async def test_a_worker_that_dies_after_the_samples_are_stored_draws_the_charts_when_they_come_again(bench, another):
    verdicts = generated()
    for begin in range(0, len(verdicts), BATCH):  # every batch dies once, before its pages are turned
        batch = verdicts[begin : begin + BATCH]
        observations = [
            each for one in batch for each in observe(one, window_seconds=PLAN.window_seconds, plan=PLAN.version)
        ]
        await bench.book.put(observations)
        await bench.read(batch)
    straight = await another()
    await straight.read(verdicts)
    assert await bench.shown() == await straight.shown()
    assert [one.value for one in bench.told] == [one.value for one in straight.told]


async def test_what_was_not_noted_as_delivered_is_told_again_to_the_byte(bench: Bench):
    await bench.read(generated(), note=False)
    first = {record.key: record for record in bench.told}
    again = dict(await bench.book.untold(100))

    assert {record.key: record for record in again.values()} == first
    await bench.book.told(list(again))
    assert await bench.book.untold(100) == []


async def test_of_two_that_turn_a_page_at_once_one_turns_it(bench: Bench):
    verdicts = generated()
    observations = [
        each for one in verdicts for each in observe(one, window_seconds=PLAN.window_seconds, plan=PLAN.version)
    ]
    scopes = await bench.book.put(observations)
    pages = await bench.book.pages(scopes)
    embeddings = await bench.services.gallery.recall([name for page in pages for name in page.wanted])
    turned = [turn(page, PLAN, embeddings, {}) for page in pages]

    assert await bench.book.turn(turned, at=BEGIN)
    assert not await bench.book.turn(turned, at=BEGIN)

    count = select(func.count()).select_from(outbox)
    assert await bench.database.transact(lambda c: c.execute(count).scalar()) == sum(len(one.notices) for one in turned)
    assert await bench.book.pages(scopes) == []


async def test_every_step_of_a_training_run_is_advised_on_and_is_complete_once_the_next_has_begun(bench: Bench):
    await bench.read(trained())

    last = {one["step"]: one for one in bench.messages("training.feedback")}
    assert sorted(last) == [100 * step for step in range(12)]
    assert [last[step]["complete"] for step in sorted(last)] == [True] * 11 + [False]
    assert {one["samples"] for one in last.values()} == {8}
    for one in last.values():
        assert {"similarity", "rank1", "diversity", "vendi", "frechet", "mmd2", "copy_rate", "leak_rate"} <= set(one)
        assert one["references"] == 3
    assert last[900]["advice"] == "best-so-far"
    assert last[1100]["advice"] == "stop"
    assert last[1100]["best_step"] < 900
    (alert,) = bench.messages()
    assert (alert["kind"], alert["run_id"], alert["since_step"]) == ("run", "run-1", 900)


STRANGE = [
    b"{}",
    judged(identity="a" * 5000),
    judged(identity="an\0na"),
    judged(kind="training", source="", step=1),
    judged(kind="training", source="run-1", step=2**70),
    judged(kind="training", source="run-1", step=-1),
]


@pytest.mark.parametrize("strange", STRANGE)
async def test_what_is_no_verdict_of_ours_is_left_out_and_stops_nothing(bench: Bench, caplog, strange):
    ours = judged(kind="training", source="run-1", step=2**62, similarity=0.7)
    batch = [message(strange, topic=SAMPLES_ACCEPTED, offset=17), message(ours, topic=SAMPLES_ACCEPTED, offset=18)]
    effects = await monitor(batch, bench.services)

    assert [json.loads(record.value or b"")["step"] for record in effects.records] == [2**62]
    assert "samples.accepted[0]@17 is no verdict of ours" in caplog.text
