"""A broker that loses its disk: what was registered ends all the same, and what was delivered is delivered again."""

import shutil
import signal

import pytest

pytestmark = pytest.mark.asyncio(loop_scope="session")

SAMPLES = 96
SOON = {"LIKENESS_RECONCILE_EVERY_SECONDS": "0.5", "LIKENESS_RECONCILE_AFTER_SECONDS": "2"}
#: The reconciler knows to which cluster verdicts go.
CLUSTER_NOTED = "EXISTS (SELECT 1 FROM delivery)"


async def test_a_broker_that_lost_its_disk_costs_no_sample_its_verdict(lay, tmp_path):
    folder = tmp_path / "wiped"
    async with lay(folder) as road:
        await road.ask(SAMPLES, "wiped")
        async with road.workers(road.supervisor("generate", "reconcile", **SOON)):
            await road.until(lambda: road.count() == SAMPLES and road.count(road.MADE) == 0)
            await road.until(lambda: road.count(CLUSTER_NOTED) > 0)
            async with road.workers(road.supervisor("judge")) as (judge,):
                process = await road.caught(judge, f"({road.EXAMINED}) AND {_some(road.ENDED)}")
                process.send_signal(signal.SIGKILL)
            # All were without an end for longer than the reconciler waits, and none was sent again: the judge has yet
            # to come to them.
            assert (await road.flow()).arrived == SAMPLES
        ended, lost = road.count(road.ENDED), road.count("state = 'in_flight'")
        assert ended > 0
        assert lost > 0

    shutil.rmtree(folder / "kafka")

    async with lay(folder) as road:
        road.asked = SAMPLES
        _, before = await road.audit()
        assert (before["lost"], before["in_flight"]) == (ended, SAMPLES - ended)
        async with road.workers(road.supervisor("generate", "judge", "reconcile", **SOON)):
            audited = await road.adds_up()
    assert audited["dead"] == 0
    road.note(f"a wiped broker: {ended} ends published again, {lost} samples driven again")


def _some(condition: str) -> str:
    return f"EXISTS (SELECT 1 FROM sample WHERE {condition})"  # noqa: S608 - a condition of our own
