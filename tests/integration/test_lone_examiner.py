"""The lone examiner's child may die in any way, and takes nothing with it. Toy engines in real child processes."""

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable
from functools import partial
from pathlib import Path

import psutil
import pytest

from streams.adapters.faces.lone import LoneExaminer
from streams.core.faces import EmbeddingSpace, Undecodable
from streams.errors import DependencyUnavailable, ExaminerDied, Unready

SPACE = EmbeddingSpace("toy", "0" * 64, 2, "none", "none", "none")

ENGINES = """
import os, signal, time
from pathlib import Path
from streams.core.faces import Undecodable
from streams.errors import WeightsUnusable
from streams.events import DeadReason


#: While this file is there, memory is short: the system kills whoever takes some.
PRESSURE = Path(__file__).with_name("pressure")


class Toy:
    def examine(self, encoded):
        if PRESSURE.exists():
            os.kill(os.getpid(), signal.SIGKILL)
        return [self.one(each) for each in encoded]

    def one(self, each):
        if each == b"abort":
            os.abort()
        if each == b"leave":
            os._exit(3)
        if each == b"raise":
            raise RuntimeError("a defect")
        if each == b"hang":
            time.sleep(3600)
        return Undecodable(DeadReason.IMAGE_UNDECODABLE, f"{os.getpid()} {len(each)}")


def refuses():
    raise WeightsUnusable("expected weights, got none")


def dies():
    os.abort()


def hangs():
    time.sleep(3600)


def needs_memory():
    if PRESSURE.exists():
        os.kill(os.getpid(), signal.SIGKILL)
    return Toy()


def defective():
    raise MemoryError("a defect, or no room")
"""

Make = Callable[..., LoneExaminer]


@pytest.fixture
async def make(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Make]:
    """Return what makes lone examiners over one of the toys; they are closed at the end."""
    (tmp_path / "toy_engines.py").write_text(ENGINES)
    monkeypatch.syspath_prepend(tmp_path)  # a spawned child gets its parent's path
    made: list[LoneExaminer] = []

    def maker(toy: str = "Toy", **seconds: float) -> LoneExaminer:
        import toy_engines  # type: ignore[import-not-found]

        made.append(LoneExaminer(getattr(toy_engines, toy), SPACE, canary=b"canary", **seconds))
        return made[-1]

    yield maker
    for each in made:
        await each.close()
    sys.modules.pop("toy_engines", None)


def pid_in(examined: object) -> int:
    assert isinstance(examined, Undecodable)
    return int(examined.detail.split()[0])


async def until(condition: Callable[[], bool], what: str) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, f"not within 20 s: {what}"
        await asyncio.sleep(0.02)


def gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_it_examines_in_one_other_process_call_after_call(make: Make):
    lone = make()
    assert lone.space is SPACE
    first, second = await lone.examine([b"a", b"bb"]), await lone.examine([b"ccc"])
    assert [each.detail.split()[1] for each in (*first, *second)] == ["1", "2", "3"]
    assert {pid_in(each) for each in (*first, *second)} == {pid_in(first[0])}
    assert pid_in(first[0]) != os.getpid()


@pytest.mark.parametrize(
    ("image", "says"), [(b"abort", "signal SIGABRT"), (b"leave", "exit code 3"), (b"raise", "exit code 1")]
)
async def test_an_image_that_kills_its_reader_is_an_error_and_the_next_call_goes_on(
    make: Make, image: bytes, says: str
):
    lone = make()
    before = pid_in((await lone.examine([b"a"]))[0])
    with pytest.raises(ExaminerDied, match=says):
        await lone.examine([b"fine", image])
    after = pid_in((await lone.examine([b"a"]))[0])
    assert after != before
    assert gone(before)


async def test_an_image_that_hangs_its_reader_is_killed(make: Make):
    lone = make(examine_seconds=0.3)
    before = pid_in((await lone.examine([b"a"]))[0])
    with pytest.raises(ExaminerDied, match=r"did not finish in 0\.3 s and was killed"):
        await lone.examine([b"hang"])
    assert gone(before)
    assert pid_in((await lone.examine([b"a"]))[0]) != before


async def test_a_child_that_died_between_two_calls_is_replaced_and_no_image_blamed(make: Make):
    lone = make()
    before = pid_in((await lone.examine([b"a"]))[0])
    os.kill(before, signal.SIGKILL)
    await until(lambda: gone(before), "the child is gone")
    assert pid_in((await lone.examine([b"a"]))[0]) != before


async def test_an_engine_that_refuses_to_run_as_it_is_set_up_says_so_and_blames_no_image(make: Make):
    lone = make("refuses")
    for _ in range(2):
        with pytest.raises(Unready, match="WeightsUnusable: expected weights"):
            await lone.examine([b"a"])


@pytest.mark.parametrize(
    ("toy", "says"), [("dies", "SIGABRT"), ("hangs", "did not load"), ("defective", "exit code 1 while it loaded")]
)
async def test_a_child_that_does_not_start_is_waited_for_and_blames_no_image(make: Make, toy: str, says: str):
    lone = make(toy, start_seconds=60.0 if toy != "hangs" else 0.5)
    for _ in range(2):
        with pytest.raises(DependencyUnavailable, match=says) as caught:
            await lone.examine([b"a"])
        assert caught.value.dependency == "examiner"


@pytest.mark.parametrize("toy", ["Toy", "needs_memory"])
async def test_under_memory_pressure_no_image_is_blamed_and_afterwards_each_is_examined(
    make: Make, tmp_path: Path, toy: str
):
    lone = make(toy)
    await lone.examine([b"a"])
    (tmp_path / "pressure").touch()
    for _ in range(3):
        with pytest.raises(DependencyUnavailable, match="SIGKILL"):
            await lone.examine([b"innocent"])
    (tmp_path / "pressure").unlink()
    assert len(await lone.examine([b"innocent"])) == 1


async def test_an_image_is_blamed_only_when_another_child_is_ready(make: Make):
    lone = make()
    await lone.examine([b"a"])
    with pytest.raises(ExaminerDied, match="another one is ready"):
        await lone.examine([b"abort"])
    (successor,) = multiprocessing_children()
    assert pid_in((await lone.examine([b"a"]))[0]) == successor


async def test_calls_at_once_are_taken_one_at_a_time(make: Make):
    lone = make()
    seen = await asyncio.gather(*(lone.examine([b"x" * length]) for length in range(1, 6)))
    assert [each[0].detail.split()[1] for each in seen] == ["1", "2", "3", "4", "5"]
    assert len({pid_in(each[0]) for each in seen}) == 1


async def test_large_images_pass_both_ways(make: Make):
    (examined,) = await make().examine([b"x" * 9_000_000])
    assert isinstance(examined, Undecodable)
    assert examined.detail.endswith(" 9000000")


async def test_the_loop_goes_on_while_the_child_works(make: Make):
    lone = make()
    hung = asyncio.create_task(lone.examine([b"hang"]))
    await until(lambda: bool(multiprocessing_children()), "the child has started")
    assert not hung.done()
    await lone.close()
    with pytest.raises(DependencyUnavailable):
        await hung
    assert multiprocessing_children() == []


def multiprocessing_children() -> list[int]:
    def spawned(child: psutil.Process) -> bool:
        try:
            return "spawn_main" in " ".join(child.cmdline())
        except psutil.Error:  # it ended while it was looked at
            return False

    return [child.pid for child in psutil.Process().children() if spawned(child)]


HANGING_PARENT = """
import asyncio
from streams.adapters.faces.lone import LoneExaminer
from streams.core.faces import EmbeddingSpace
import toy_engines

async def main():
    lone = LoneExaminer(toy_engines.Toy, EmbeddingSpace("toy", "0", 2, "", "", ""), canary=b"")
    print((await lone.examine([b"a"]))[0].detail, flush=True)
    await lone.examine([b"hang"])

if __name__ == "__main__":
    asyncio.run(main())
"""


@pytest.mark.usefixtures("make")
async def test_a_child_ends_with_a_parent_that_is_killed_in_mid_examination(tmp_path: Path):
    (tmp_path / "parent.py").write_text(HANGING_PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    start = partial(subprocess.Popen, [sys.executable, str(tmp_path / "parent.py")])
    with start(stdout=subprocess.PIPE, text=True, env=environment) as parent:
        assert parent.stdout is not None
        child = int((await asyncio.to_thread(parent.stdout.readline)).split()[0])
        assert not gone(child)
        parent.kill()
        await until(lambda: gone(child), "the child has followed its parent")
