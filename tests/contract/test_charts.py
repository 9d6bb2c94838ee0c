"""What ``ports.ChartBook`` and the monitor promise, on the SQL ledger and on every database."""

import json
import random
from collections.abc import AsyncIterator, Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from streams.adapters.ledger.charts.rows import outbox, samples
from streams.adapters.ledger.database import Database
from streams.core.drift.book import turn
from streams.core.records import Record
from streams.steps import monitor
from streams.testing.gallery import InMemoryGallery
from streams.testing.messages import message
from streams.testing.verdicts import judged
from streams.topics import SAMPLES_ACCEPTED
from tests.charted import BATCH, BEGIN, PLAN, Bench, gallery_of, generated, observations, trained


@pytest.fixture
async def gallery() -> InMemoryGallery:
    return await gallery_of([*generated(), *trained()])


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
        await bench.book.put(observations(batch))
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
    scopes = await bench.book.put(observations(generated()))
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
        assert (one["references"], one["measured"], one["embedded"]) == (6, 8, 8)
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
