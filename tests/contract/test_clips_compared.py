"""A clip's movement is compared with the person's earlier clips, and with the same ones in whatever order they come."""

import random
from collections.abc import AsyncIterator, Sequence
from datetime import timedelta
from typing import Any

import pytest

from streams.adapters.ledger.clips.shown import shown
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.rows import samples
from streams.core.clips.book import turn_clip
from streams.core.clips.earlier import MOST
from streams.core.clips.gathered import gathered
from streams.events import SampleJudged
from streams.testing.verdicts import judged
from tests.charted import BEGIN, Bench
from tests.clipped import clip, moving, remembered

#: The mouth moves ever a little more, and in the last clip much more.
AMPLITUDES = [0.10, 0.11, 0.12, 0.13, 0.14, 0.15, 0.60]


def clips(amplitudes: Sequence[float] = AMPLITUDES, identity: str = "anna") -> list[list[SampleJudged]]:
    return [
        clip(f"c-{number}", 4, frames=4, identity=identity, begin=BEGIN + timedelta(seconds=10 * number))
        for number in range(len(amplitudes))
    ]


async def bench_of(database: Database, every: Sequence[Sequence[SampleJudged]], amplitudes: Sequence[float]) -> Bench:
    rows = [row for one, amplitude in zip(every, amplitudes, strict=True) for row in moving(one, amplitude)]
    await database.transact(lambda connection: connection.execute(samples.insert(), rows))
    return Bench(database, await remembered([one for each in every for one in each]))


@pytest.fixture
async def bench(database: Database) -> Bench:
    return await bench_of(database, clips(), AMPLITUDES)


@pytest.fixture
async def other(tmp_path) -> AsyncIterator[Bench]:
    database = Database(f"sqlite:///{tmp_path}/other.db")
    await database.open()
    yield await bench_of(database, clips(), AMPLITUDES)
    await database.close()


async def last(bench: Bench) -> dict[str, dict[str, Any]]:
    """Return what was last said of each clip, but for how often anything was."""
    said = [one.said for one in await shown(bench.database) if one.said is not None]
    return {one.clip_id: one.model_dump(exclude={"revision"}) for one in said}


async def test_a_mouth_that_moves_unlike_before_is_told_and_the_clip_is_accepted_all_the_same(bench: Bench):
    for one in clips():
        await bench.read(one)

    said = {one["clip_id"]: one for one in bench.messages("clips.judged")}
    assert [said[f"c-{number}"]["earlier"] for number in range(7)] == [0, 1, 2, 3, 4, 5, 6]
    mouth = {name: one["movement"]["mouth-width"] for name, one in said.items()}
    assert all("step_z" not in mouth[f"c-{number}"] for number in range(5))
    # The earlier steps are 0.10 to 0.15: median 0.125, median absolute deviation 0.015.
    assert mouth["c-6"]["step_z"] == round((0.60 - 0.125) / (1.4826 * 0.015), 2)
    assert mouth["c-6"]["spread_z"] > 10
    assert {one["decision"] for one in said.values()} == {"accepted"}
    assert {one["revision"] for one in said.values()} == {1}


@pytest.mark.parametrize("seed", [1, 2, 3])
async def test_in_whatever_order_clips_come_each_is_compared_with_the_same(bench: Bench, other: Bench, seed: int):
    for one in clips():
        await bench.read(one)
    for one in random.Random(seed).sample(clips(), len(AMPLITUDES)):
        await other.read(one)
    assert await last(other) == await last(bench)


async def test_clips_that_waited_together_are_judged_in_the_order_in_which_they_began(bench: Bench, other: Bench):
    for one in clips():
        await bench.read(one)
    waiting = [found for one in clips() for each in one if (found := gathered(each)) is not None]
    await other.services.clips.put(waiting, until=BEGIN)

    await other.read([judged("anything", judged_at=BEGIN, similarity=0.7)])

    assert await last(other) == await last(bench)
    assert {one["revision"] for one in other.messages("clips.judged")} == {1}


async def test_a_page_that_was_read_before_an_earlier_clip_was_judged_is_turned_in_vain(bench: Bench):
    early, late = (one for one in clips() if one[0].clip_id in ("c-0", "c-1"))
    book = bench.services.clips
    await book.put([found for one in late if (found := gathered(one)) is not None], until=BEGIN)
    stale = await book.pages()
    await book.put([found for one in early if (found := gathered(one)) is not None], until=BEGIN)
    await book.turn([turn_clip(page, {}) for page in await book.pages()], at=BEGIN)

    await book.turn([turn_clip(page, {}) for page in stale], at=BEGIN)

    assert [(one.clip.clip_id, one.waiting) for one in await shown(bench.database)] == [("c-0", False), ("c-1", True)]
    [page] = await book.pages()
    assert len(page.earlier) == 1


async def test_a_late_frame_of_an_earlier_clip_changes_what_later_ones_are_compared_with(bench: Bench, other: Bench):
    every = clips()
    for one in every:
        await bench.read(one)
    # A second sample of a frame: the smallest id counts, so the clip moves less. It comes last, and first.
    still = every[2][1].model_copy(update={"sample_id": "0" * 32})
    await bench.read([still])
    await other.read([still])
    for one in every:
        await other.read(one)
    assert await last(other) == await last(bench)
    assert (await last(bench))["c-6"]["movement"]["mouth-width"]["step_z"] is not None


async def test_only_the_latest_clips_of_the_same_person_by_the_same_model_are_compared_with(database: Database):
    amplitudes = [0.1 + 0.001 * number for number in range(MOST + 3)]
    every = clips(amplitudes)
    bench = await bench_of(database, every, amplitudes)
    for one in every:
        await bench.read(one)
    for changed in ({"identity": "bert"}, {"model": "other"}):
        await bench.read(
            [one.model_copy(update={**changed, "sample_id": f"{n:032x}"}) for n, one in enumerate(every[-1])]
        )

    earlier = [one["earlier"] for one in bench.messages("clips.judged")]
    assert earlier == [*range(MOST), MOST, MOST, MOST, 0, 0]


async def test_clips_beside_each_other_are_not_compared(bench: Bench):
    beside = [one for pair in zip(*(clip(name, 4, frames=4) for name in "ab"), strict=True) for one in pair]
    await bench.read(beside)
    assert [one["earlier"] for one in bench.messages("clips.judged")] == [0, 0]
