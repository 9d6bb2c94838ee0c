"""The command line as its users have it: a program that is started, with real parts behind it."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.absent import absent

#: A command that has not ended by then hangs.
HANGS_SECONDS = 480.0

LIKENESS = (sys.executable, "-m", "streams.cli.main")


@dataclass(frozen=True)
class Done:
    """A command that has ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """Its one JSON object: nothing else may stand on standard output."""
        [line] = self.out.splitlines()
        return json.loads(line)


@dataclass
class Likeness:
    """The program on a data folder of its own."""

    data_dir: Path
    env: dict[str, str] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        own = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
        return {**own, "LIKENESS_DATA_DIR": str(self.data_dir), "PYTHONUNBUFFERED": "1", **self.env}

    def __call__(self, *arguments: str, stdin: bytes = b"", **env: str) -> Done:
        """Run a command to its end; it may say what it likes, a traceback is never among it."""
        ended = subprocess.run(
            [*LIKENESS, *arguments],
            input=stdin,
            env={**self.environment, **env},
            capture_output=True,
            timeout=HANGS_SECONDS,
            check=False,
        )
        done = Done(ended.returncode, ended.stdout.decode(), ended.stderr.decode())
        assert "Traceback" not in done.err, done.err
        return done

    def start(self, *arguments: str, err: Path, **env: str) -> "subprocess.Popen[bytes]":
        """Start a command that goes on."""
        with err.open("wb") as log:
            return subprocess.Popen(
                [*LIKENESS, *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=log,
                env={**self.environment, **env},
            )

    def processes(self) -> list[str]:
        """Return the command line of every process that works on the data folder: parts, workers and commands."""
        return [" ".join(command) for command in _on(self.data_dir)]


def _on(folder: Path) -> Iterator[Sequence[str]]:
    for process in psutil.process_iter():
        try:
            command = process.cmdline()
            if process.pid == os.getpid() or process.status() == psutil.STATUS_ZOMBIE:
                continue
            if process.environ().get("LIKENESS_DATA_DIR", "").startswith(str(folder)) or str(folder) in str(command):
                yield command
        except (psutil.NoSuchProcess, psutil.AccessDenied):
            continue


def eventually(holds: Callable[[], bool], seconds: float = 120.0) -> bool:
    """Look until it holds or the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


@pytest.fixture(scope="session")
def _real_parts() -> None:
    """A laptop may lack a real part, the machine that guards the main branch may not."""
    likeness = Likeness(Path("unused"))
    report = likeness("doctor", "--json")
    missing = [one["what"] for one in report.json["findings"] if "not installed" in one["found"]]
    fetched = Done(0, "", "") if missing else likeness("weights", "fetch")
    if not missing and fetched.status == 0:
        return
    reason = f"not installed: {', '.join(missing)}" if missing else fetched.err
    absent(reason)


@pytest.fixture
def likeness(_real_parts: None, tmp_path: Path) -> Iterator[Likeness]:
    """The program, with nothing running; whatever a test leaves on the data folder fails it."""
    program = Likeness(tmp_path / "data")
    yield program
    program("down")
    assert eventually(lambda: not program.processes(), 60), program.processes()


@pytest.fixture(scope="module")
def up(_real_parts: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Likeness]:
    """The program with parts that run, for a synthetic gallery of three."""
    program = Likeness(tmp_path_factory.mktemp("up") / "data", {"LIKENESS_POLICY": "synthetic"})
    started = program("up", "--detach", "--json")
    assert started.status == 0, started.err
    yield program
    program("down")
    assert eventually(lambda: not program.processes(), 60), program.processes()
