"""The promise, under ``kill -9``: every registered sample gets exactly one verdict."""

import signal
import time

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAMPLES = 400
KILLS = 10
#: Between two kills so many more samples must have ended, at most; the seeded draw is from 1 on.
PROGRESS = 12
#: So many samples may end while a delivery is waited for.
MISSED = 16


def moment(road, goal: int) -> str:
    """Draw what the judge is killed in the middle of."""
    if road.draw.random() < 0.5:
        return road.EXAMINED
    # A delivery takes milliseconds: before the samples run out, an examination will do.
    missed = f"(SELECT count(published_at) FROM sample) > {goal + MISSED}"  # noqa: S608 - a number of our own
    return f"({road.DELIVERED}) OR ({road.EXAMINED}) AND {missed}"


async def test_ten_kills_of_the_judge_in_mid_batch_lose_nothing_and_never_judge_twice(road, generate_and_judge):
    _, judge = generate_and_judge
    restarts, again, recoveries = judge.restarts, road.count("attempts > 1"), []
    await road.ask(SAMPLES, "kill-judge")
    for _ in range(KILLS):
        goal = road.count(road.ENDED) + road.draw.randint(1, PROGRESS)
        await road.until(lambda goal=goal: road.count(road.ENDED) >= goal)
        process = await road.caught(judge, moment(road, goal))
        ended = road.count(road.ENDED)
        killed_at = time.monotonic()
        assert await road.hit(judge, process, signal.SIGKILL) == 128 + signal.SIGKILL
        await road.until(lambda ended=ended: road.count(road.ENDED) > ended)
        recoveries.append(time.monotonic() - killed_at)
    audited = await road.adds_up()
    assert judge.restarts - restarts == KILLS
    assert audited["dead"] == 0
    again = road.count("attempts > 1") - again
    assert again > 0, "no kill has met a batch: this test has shown nothing"
    road.note(
        f"{KILLS} kills of the judge among {SAMPLES} samples: {again} samples examined again, {audited['duplicates']}"
        f" records repeated, back at work after {min(recoveries):.1f} to {max(recoveries):.1f} s"
    )
