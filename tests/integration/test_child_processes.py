import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest

from streams.embedded import folder
from streams.embedded.loopback import free_ports, until_it_answers
from streams.errors import BadInput, DependencyUnavailable, PartFailed
from streams.processes.child import LOG_BYTES, Child

ROOT = Path(__file__).parents[2]

#: A command with a child and a grandchild that left its group and session; writes all three process ids.
TREE = """
import os, subprocess, sys, time
sleep = [sys.executable, "-c", "import time; time.sleep(600)"]
pids = [os.getpid(), subprocess.Popen(sleep).pid, subprocess.Popen(sleep, start_new_session=True).pid]
with open(sys.argv[1] + ".part", "w") as file:
    file.write(" ".join(map(str, pids)))
os.rename(sys.argv[1] + ".part", sys.argv[1])
time.sleep(600)
"""

#: Starts the tree as its child and waits to be killed.
OWNER = """
import os, sys, time
from pathlib import Path
from streams.processes.child import Child
child = Child.start("tree", [sys.executable, "-c", sys.argv[1], sys.argv[2]], os.environ, Path(sys.argv[2] + ".log"))
time.sleep(600)
"""


def eventually(holds: Callable[[], bool], seconds: float = 20.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture
def children() -> Iterator[list[Child]]:
    started: list[Child] = []
    yield started
    for child in started:
        child.stop(grace=1)


@pytest.fixture
def run(children: list[Child], tmp_path: Path) -> Callable[..., Child]:
    def start(code: str, *arguments: str, **options: object) -> Child:
        argv = [sys.executable, "-c", code, *arguments]
        child = Child.start("it", argv, os.environ, tmp_path / "it.log", **options)
        children.append(child)
        return child

    return start


def tree_of(path: Path) -> list[int]:
    assert eventually(path.exists)
    return [int(pid) for pid in path.read_text().split()]


def ended(child: Child) -> int:
    assert eventually(lambda: child.poll() is not None)
    status = child.poll()
    assert status is not None
    return status


def test_no_process_survives_when_the_owner_is_killed(tmp_path: Path):
    pids_path = tmp_path / "pids"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    owner = subprocess.Popen([sys.executable, "-c", OWNER, TREE, str(pids_path)], env=environment)
    try:
        pids = tree_of(pids_path)
        assert all(map(lives, pids))
    finally:
        owner.kill()
        owner.wait()
    assert eventually(lambda: not any(map(lives, pids)))


def test_what_a_killed_command_leaves_behind_is_killed_too(run, tmp_path: Path):
    child = run(TREE, str(tmp_path / "pids"))
    pids = tree_of(tmp_path / "pids")
    assert child.command_pid == pids[0]
    os.kill(pids[0], signal.SIGKILL)
    assert ended(child) == 128 + signal.SIGKILL
    assert not any(map(lives, pids))


def test_what_a_command_leaves_behind_is_not_taken_for_it(run, tmp_path: Path):
    child = run(TREE, str(tmp_path / "pids"))
    command, *others = tree_of(tmp_path / "pids")
    leash = psutil.Process(child.pid)
    leash.suspend()  # so that nobody tidies up
    try:
        os.kill(command, signal.SIGKILL)
        assert eventually(lambda: {one.pid for one in leash.children()} >= {command, others[0]})
        assert (child.command_pid, child.poll()) == (None, None)
    finally:
        leash.resume()
    assert ended(child) == 128 + signal.SIGKILL


def test_stop_leaves_nothing_behind(run, tmp_path: Path):
    child = run(TREE, str(tmp_path / "pids"))
    pids = tree_of(tmp_path / "pids")
    assert child.stop() == 128 + signal.SIGTERM
    assert not any(map(lives, [child.pid, *pids]))


def test_the_command_dies_with_a_killed_leash_and_stop_sweeps_up_the_rest(run, tmp_path: Path):
    child = run(TREE, str(tmp_path / "pids"))
    command, in_session, _ = tree_of(tmp_path / "pids")
    orphan = psutil.Process(tree_of(tmp_path / "pids")[2])
    os.kill(child.pid, signal.SIGKILL)
    assert ended(child) == -signal.SIGKILL
    assert eventually(lambda: not lives(command))
    child.stop()
    assert not lives(in_session)
    orphan.kill()  # what left the session of a leash that was killed itself is out of reach


@pytest.mark.parametrize(("code", "status"), [("pass", 0), ("raise SystemExit(7)", 7), ("import os; os.abort()", 134)])
def test_the_status_is_that_of_the_command(run, code: str, status: int):
    assert ended(run(code)) == status


def test_a_command_that_is_not_there_says_so_in_the_log(children: list[Child], tmp_path: Path):
    children.append(Child.start("it", ["/no/such/program"], os.environ, tmp_path / "it.log"))
    assert ended(children[0]) == 127
    assert "/no/such/program cannot be run" in children[0].log_tail()


def test_a_command_that_ignores_the_stop_signal_is_killed_after_its_grace(run, tmp_path: Path):
    deaf = (
        "import signal, sys, time; signal.signal(15, signal.SIG_IGN); open(sys.argv[1], 'w').close(); time.sleep(600)"
    )
    child = run(deaf, str(tmp_path / "ready"), grace=0.2)
    assert eventually((tmp_path / "ready").exists)
    assert child.stop() == 128 + signal.SIGKILL


def test_the_command_is_stopped_by_the_signal_that_it_wants(run, tmp_path: Path):
    polite = (
        "import sys, time\ntry:\n    open(sys.argv[1], 'w').close()\n    time.sleep(600)\n"
        + "except KeyboardInterrupt:\n    sys.exit(3)"
    )
    child = run(polite, str(tmp_path / "ready"), stop_signal=signal.SIGINT)
    assert eventually((tmp_path / "ready").exists)
    assert child.stop() == 3


def test_a_held_lock_ends_with_the_last_process_and_the_command_itself_does_not_have_it(run, tmp_path: Path):
    lock = tmp_path / "lock"
    with folder.held(lock, 0) as descriptor:
        child = run(
            "import os, time; print(sorted(os.listdir('/dev/fd')), flush=True); time.sleep(600)", hold=[descriptor]
        )
        assert eventually(lambda: child.command_pid is not None and child.log_tail() != "")
    assert f"'{descriptor}'" not in child.log_tail()
    with pytest.raises(BadInput, match="held by another process"), folder.held(lock, 0):
        pass
    child.stop()
    with folder.held(lock, 0):
        pass


def test_the_log_tail_is_that_of_this_start_alone(run):
    assert ended(run("print('first')")) == 0
    child = run("print('\\n'.join(map(str, range(100))))")
    assert ended(child) == 0
    assert child.log_tail(3) == "97\n98\n99"
    assert "first" not in child.log_tail(1000)
    assert "first" in child.log_path.read_text()


def test_a_log_that_has_grown_is_moved_aside(run, tmp_path: Path):
    (tmp_path / "it.log").write_bytes(b"x" * (LOG_BYTES + 1))
    child = run("print('new')")
    assert ended(child) == 0
    assert child.log_path.read_text() == "new\n"
    assert (tmp_path / "it.log.1").stat().st_size == LOG_BYTES + 1


async def refuses() -> None:
    raise DependencyUnavailable("it", "not yet")


async def accepts() -> None:
    return


async def test_a_child_that_dies_while_starting_is_noticed_with_the_end_of_its_log(run):
    child = run("print('no memory'); raise SystemExit(9)")
    with pytest.raises(PartFailed, match=r"(?s)it ended with status 9 while starting; buy more.*no memory"):
        await until_it_answers(child, refuses, free_ports(1), "buy more", 30)


async def test_a_dead_child_is_not_ready_though_something_answers_on_its_port(run):
    child = run("pass")
    ended(child)
    with pytest.raises(PartFailed, match="ended with status 0"):
        await until_it_answers(child, accepts, free_ports(1), "remedy", 30)


async def test_a_port_that_another_program_took_is_named(run):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        child = run("raise SystemExit(1)")
        with pytest.raises(PartFailed, match=f"port {port} taken by another program"):
            await until_it_answers(child, refuses, [port], "remedy", 30)


async def test_a_child_that_never_answers_fails_after_the_deadline(run):
    child = run("import time; time.sleep(600)")
    with pytest.raises(PartFailed, match=r"did not answer within 0 s .*not yet"):
        await until_it_answers(child, refuses, free_ports(1), "remedy", 0.2)


def test_free_ports_are_different():
    assert len(set(free_ports(50))) == 50
