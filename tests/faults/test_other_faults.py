"""Other things that happen to a road: a stop, a killed generator's worker, a zombie, and parts that hang."""

import asyncio
import signal
import time

import pytest

from streams.errors import Unready
from streams.runtime.worker import STOP_SECONDS

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Enough for several batches.
SAMPLES = 64
OUTAGE_SECONDS = 10.0


async def test_a_worker_that_is_told_to_stop_in_mid_batch_ends_in_order_and_loses_nothing(road, generate_and_judge):
    _, judge = generate_and_judge
    await road.ask(SAMPLES, "stop")
    process = await road.caught(judge, road.EXAMINED)
    told_at = time.monotonic()
    assert await road.hit(judge, process, signal.SIGTERM) == 0
    took = time.monotonic() - told_at
    assert took < STOP_SECONDS
    assert (await road.adds_up())["dead"] == 0
    road.note(f"a judge that was told to stop in mid-batch ended after {took:.1f} s")


async def test_a_kill_of_the_worker_that_generates_loses_nothing(road, generate_and_judge):
    generate, _ = generate_and_judge
    await road.ask(SAMPLES, "kill-generate")
    process = await road.caught(generate, road.MADE)
    assert await road.hit(generate, process, signal.SIGKILL) == 128 + signal.SIGKILL
    assert (await road.adds_up())["dead"] == 0


@pytest.mark.parametrize("part", ["triton", "milvus"])
async def test_a_part_that_hangs_is_waited_for_in_place(road, generate_and_judge, part):
    restarts = [slot.restarts for slot in generate_and_judge]
    await road.ask(SAMPLES, f"hang-{part}")
    at_work = {"triton": road.MADE, "milvus": road.EXAMINED}[part]
    await road.until(lambda: road.count(at_work) > 0)
    server = road.server(part)
    server.suspend()
    try:
        await asyncio.sleep(OUTAGE_SECONDS)  # the outage itself: nothing is waited for
        assert road.count(road.ENDED) < road.asked
    finally:
        server.resume()
    assert (await road.adds_up())["dead"] == 0
    assert [slot.restarts for slot in generate_and_judge] == restarts


async def test_a_judge_that_was_thought_dead_changes_no_verdict_when_it_comes_back(road, generate_and_judge):
    _, judge = generate_and_judge
    restarts = judge.restarts
    async with road.workers(road.supervisor("judge")):
        await road.ask(SAMPLES, "zombie")
        zombie = await road.caught(judge, road.EXAMINED)
        try:
            # Its session runs out, and the other one judges everything.
            await road.settled()
        finally:
            zombie.resume()
        assert (await road.adds_up())["dead"] == 0
        await road.drained()
    assert judge.restarts == restarts


async def test_a_policy_for_another_domain_ends_the_supervisor_with_the_reason(road):
    elsewhere = road.supervisor("judge", LIKENESS_POLICY="default").run(asyncio.Event())
    with pytest.raises(Unready, match=r"(?s)judge-1 cannot run.*holds for photo references, this gallery's are synth"):
        await asyncio.wait_for(elsewhere, 60)
