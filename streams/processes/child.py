"""A child process that never outlives this one, with its log in a file."""

import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from streams.errors import PartFailed

#: A log that has grown to this many bytes is moved aside (one generation) before the next start.
LOG_BYTES = 5_000_000

#: How many bytes of a log an error message quotes at most.
_TAIL_BYTES = 16_384


@dataclass
class Child:
    """One command on a leash: when this process dies, however it dies, the command and all its children do too."""

    name: str
    log_path: Path
    grace: float
    _leash: subprocess.Popen[bytes]
    _log_start: int

    @classmethod
    def start(
        cls,
        name: str,
        argv: Sequence[str],
        env: Mapping[str, str],
        log_path: Path,
        *,
        grace: float = 10.0,
        stop_signal: signal.Signals = signal.SIGTERM,
        hold: Iterable[int] = (),
    ) -> "Child":
        """Start the command; returns at once, and blocks for some milliseconds only.

        Args:
            name: What messages call it.
            argv: The command and its arguments.
            env: The whole environment of the command.
            log_path: The file that the command's output is appended to.
            grace: Seconds between the stop signal and SIGKILL.
            stop_signal: What asks the command to end.
            hold: File descriptors to keep open until the command and its children are gone, such as that of a lock.
        """
        log_path.parent.mkdir(parents=True, exist_ok=True)
        if log_path.exists() and log_path.stat().st_size > LOG_BYTES:
            log_path.replace(log_path.with_name(log_path.name + ".1"))
        leash = [sys.executable, "-I", "-S", str(Path(__file__).with_name("leash.py"))]
        with log_path.open("ab") as log:
            process = subprocess.Popen(
                [*leash, str(grace), str(int(stop_signal)), *argv],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=dict(env),
                start_new_session=True,
                pass_fds=tuple(hold),
            )
            return cls(name, log_path, grace, process, log.tell())

    @property
    def pid(self) -> int:
        """The leash's process id, which is also the id of the session that all its descendants are in."""
        return self._leash.pid

    @property
    def command_pid(self) -> int | None:
        """The process id of the command itself; None when it has ended.

        What it left behind is not taken for it, unless that leads a group of its own in the command's session.
        """
        with contextlib.suppress(psutil.NoSuchProcess):
            return next((one.pid for one in psutil.Process(self.pid).children() if self._is_command(one)), None)
        return None

    def _is_command(self, process: psutil.Process) -> bool:
        """Whether a child of the leash runs, and leads the group that the leash has made for the command."""
        try:
            leads = os.getpgid(process.pid) == process.pid and os.getsid(process.pid) == self.pid
            return leads and process.status() != psutil.STATUS_ZOMBIE
        except (psutil.NoSuchProcess, ProcessLookupError):
            return False

    def poll(self) -> int | None:
        """Return None while the command runs, then its exit status; 128 + n where signal n ended it."""
        return self._leash.poll()

    def stop(self, grace: float | None = None) -> int:
        """End the command and everything that it started; blocks until all is gone. Return the exit status.

        Args:
            grace: Seconds to wait before everything is killed; the one given at the start where None.
        """
        patience = self.grace + 2 if grace is None else grace
        with contextlib.suppress(ProcessLookupError):
            self._leash.send_signal(signal.SIGTERM)
        try:
            self._leash.wait(patience)
        except subprocess.TimeoutExpired:
            self._kill_session()
        status = self._leash.wait()
        self._kill_session()  # nothing is left, unless somebody killed the leash itself
        if self._leash.stdin is not None:
            self._leash.stdin.close()
        return status

    def _kill_session(self) -> None:
        """Kill every process of the leash's session, the command's group first, and wait until it is gone."""
        gone = [process for process in map(_process, psutil.pids()) if process and _session(process) == self.pid]
        for process in sorted(gone, key=lambda process: process.pid == self.pid):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        psutil.wait_procs([process for process in gone if process.pid != self.pid], timeout=5)

    def log_tail(self, lines: int = 20) -> str:
        """Return the last lines that the command wrote since it was started."""
        try:
            with self.log_path.open("rb") as log:
                size = log.seek(0, os.SEEK_END)
                log.seek(max(self._log_start, size - _TAIL_BYTES))
                text = log.read().decode(errors="replace")
        except FileNotFoundError:
            return ""
        return "\n".join(text.splitlines()[-lines:])

    def failure(self, what: str, remedy: str) -> PartFailed:
        """Return the error that says what happened to the command, how its log ends, and what to do."""
        tail = self.log_tail() or "(nothing)"
        return PartFailed(f"{self.name} {what}; {remedy}. The end of its log, {self.log_path}:\n{tail}")


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _session(process: psutil.Process) -> int | None:
    try:
        return os.getsid(process.pid)
    except (ProcessLookupError, PermissionError):
        return None
