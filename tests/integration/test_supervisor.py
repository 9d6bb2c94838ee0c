"""A supervisor keeps its workers running, unless they say that nothing would change."""

import asyncio
import os
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from streams.errors import Unready
from streams.processes.cores import shares
from streams.runtime.supervisor import FIRST_PAUSE, Supervisor

#: Notes its own process id, then does what its argument says.
WORKER = """
import os, sys, time
with open(sys.argv[2], "a") as log:
    log.write(f"{os.getpid()}\\n")
print("worker says something", flush=True)
if sys.argv[1] == "stay":
    time.sleep(600)
sys.exit(int(sys.argv[1]))
"""


def supervisor(folder: Path, does: str, *, roles: tuple[str, ...] = ("judge",), workers: int = 1) -> Supervisor:
    def command(role: str) -> list[str]:
        return [sys.executable, "-I", "-S", "-c", WORKER, does, str(folder / f"{role}.pids")]

    return Supervisor(roles, workers=workers, env=os.environ, log_dir=folder / "logs", command=command)


def pids(folder: Path, role: str = "judge") -> list[int]:
    path = folder / f"{role}.pids"
    return [int(line) for line in path.read_text().split()] if path.exists() else []


async def until(holds: Callable[[], bool]) -> None:
    deadline = asyncio.get_running_loop().time() + 30
    while not holds():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


async def stopped(supervised: Supervisor, holds: Callable[[], bool]) -> None:
    """Supervise until it holds, then stop."""
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervised.run(stopping))
        await until(holds)
        stopping.set()


async def test_every_slot_has_one_process_and_none_is_left(tmp_path):
    supervised = supervisor(tmp_path, "stay", roles=("generate", "judge"), workers=2)
    await stopped(supervised, lambda: len(pids(tmp_path)) == len(pids(tmp_path, "generate")) == 2)
    assert [slot.name for slot in supervised.slots] == ["generate-1", "generate-2", "judge-1", "judge-2"]
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path) + pids(tmp_path, "generate"))
    assert "worker says something" in (tmp_path / "logs" / "worker-judge-2.log").read_text()


async def test_a_worker_that_ends_is_started_again_after_growing_pauses(tmp_path):
    supervised = supervisor(tmp_path, "1")
    await stopped(supervised, lambda: len(pids(tmp_path)) == 3)
    [slot] = supervised.slots
    assert slot.restarts >= 2
    assert slot.pause >= 2.0  # 0.5, 1, 2 s


async def test_a_worker_that_is_killed_is_started_again(tmp_path):
    supervised = supervisor(tmp_path, "stay")
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervised.run(stopping))
        await until(lambda: len(pids(tmp_path)) == 1)
        psutil.Process(pids(tmp_path)[0]).kill()
        await until(lambda: len(pids(tmp_path)) == 2)
        stopping.set()
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))


async def test_a_worker_that_cannot_be_started_at_this_moment_is_started_later(tmp_path):
    supervised = supervisor(tmp_path, "stay")
    logs = tmp_path / "logs"
    logs.write_text("in the way of the folder, as a full disk would be")
    stopping = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        group.create_task(supervised.run(stopping))
        await until(lambda: supervised.slots[0].pause > FIRST_PAUSE)
        logs.unlink()
        await until(lambda: len(pids(tmp_path)) == 1)
        stopping.set()


async def test_a_worker_that_must_not_run_ends_the_supervisor_with_what_it_said(tmp_path):
    supervised = supervisor(tmp_path, "2", roles=("judge",))
    with pytest.raises(Unready, match="worker judge-1 cannot run as it is set up:\nworker says something"):
        await asyncio.wait_for(supervised.run(asyncio.Event()), 30)
    assert len(pids(tmp_path)) == 1


async def test_a_supervisor_that_is_cancelled_ends_its_workers(tmp_path):
    running = asyncio.create_task(supervisor(tmp_path, "stay").run(asyncio.Event()))
    await until(lambda: len(pids(tmp_path)) == 1)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not any(psutil.pid_exists(pid) for pid in pids(tmp_path))


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system pins nothing")
async def test_workers_with_cores_of_their_own_run_there_with_as_many_threads_and_the_supervisor_where_it_did(tmp_path):
    before = os.sched_getaffinity(0)
    given = shares(sorted(before), 2)
    told = "import os, sys; print(sorted(os.sched_getaffinity(0)), os.environ['LIKENESS_THREADS'], flush=True)"
    supervised = Supervisor(
        ["generate", "judge"],
        workers=2,
        env={**os.environ, "LIKENESS_THREADS": "7"},
        log_dir=tmp_path,
        command=lambda _role: [sys.executable, "-I", "-S", "-c", f"{told}; import time; time.sleep(600)"],
        cores={"judge": given},
    )
    logs = {slot.name: tmp_path / f"worker-{slot.name}.log" for slot in supervised.slots}
    await stopped(supervised, lambda: all(log.exists() and log.read_text().endswith("\n") for log in logs.values()))
    anywhere = f"{sorted(before)} 7\n"
    first, second = (f"{sorted(share)} {len(share)}\n" for share in given)
    assert {name: log.read_text() for name, log in logs.items()} == {
        "generate-1": anywhere,
        "generate-2": anywhere,
        "judge-1": first,
        "judge-2": second,
    }
    assert os.sched_getaffinity(0) == before
