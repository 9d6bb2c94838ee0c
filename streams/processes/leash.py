"""Run one command that never outlives whoever started it.

Usage: ``python -I -S leash.py GRACE_SECONDS STOP_SIGNAL COMMAND [ARGUMENT…]``, with a pipe as standard input.

The starter keeps the write end of the pipe. When that closes, the starter has died in whatever way, ``kill -9``
included, and the command is ended; SIGTERM, SIGINT and SIGHUP end it too. First the command itself gets STOP_SIGNAL,
so that it can end its own children in order; after GRACE_SECONDS, its whole process group is killed. Whatever the
command leaves behind is killed as well. The exit status is the command's, or 128 + n where signal n ended it.

This file is a program of its own on the standard library alone, so that it starts in milliseconds.
"""

import ctypes
import os
import select
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path

# Numbers of prctl(2), from <linux/prctl.h>.
_SET_PARENT_DEATH_SIGNAL = 1
_SET_CHILD_SUBREAPER = 36

_ENDING = frozenset({signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


def main(arguments: Sequence[str]) -> int:
    """Run the command until it ends or must end; return the exit status."""
    grace, stop_signal, command = float(arguments[0]), int(arguments[1]), arguments[2:]
    _keep_to_itself()
    awake = _wake_on_signals()
    # What the command leaves behind becomes a child of this process instead of init's, so that it can be found.
    _prctl(_SET_CHILD_SUBREAPER, 1)
    child = _start(command)
    _wait(child, awake, grace, stop_signal)
    # The child is a zombie still, so its number cannot belong to anybody else yet.
    _kill_group(child)
    _, status = os.waitpid(child, 0)
    _kill_orphans()
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def _keep_to_itself() -> None:
    """Keep the file descriptors that were given, such as a lock's, from the command: they end with this process."""
    for name in os.listdir("/dev/fd"):
        if int(name) > 2:
            with suppress(OSError):  # that of the listing itself is closed by now
                os.set_inheritable(int(name), False)


def _wake_on_signals() -> int:
    """Return a file descriptor that becomes readable, with the signal's number, on every signal of interest."""
    read, write = os.pipe()
    os.set_blocking(read, False)
    os.set_blocking(write, False)
    signal.set_wakeup_fd(write, warn_on_full_buffer=False)
    for number in (*_ENDING, signal.SIGCHLD):
        signal.signal(number, lambda _signal, _frame: None)
    return read


def _start(command: Sequence[str]) -> int:
    leash = os.getpid()
    child = os.fork()
    if child:
        with suppress(OSError):  # the child does it too; whoever is first
            os.setpgid(child, child)
        return child
    try:
        os.setpgid(0, 0)
        _prctl(_SET_PARENT_DEATH_SIGNAL, signal.SIGKILL)  # should this process itself be killed
        if os.getppid() != leash:
            os._exit(1)
        for number in (*_ENDING, signal.SIGCHLD):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.execvp(command[0], list(command))  # noqa: S606 - a shell would be one more thing to end
    except OSError as error:
        os.write(2, f"{command[0]} cannot be run: {error}\n".encode())
    os._exit(127)


def _wait(child: int, awake: int, grace: float, stop_signal: int) -> None:
    """Return when the child has ended by itself or was ended; leave it as a zombie."""
    deadline: float | None = None
    sources = [0, awake]
    while not os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT):
        left = None if deadline is None else max(0.0, deadline - time.monotonic())
        readable, _, _ = select.select(sources, [], [], left)
        must_end = False
        if 0 in readable and not os.read(0, 4096):
            sources.remove(0)
            must_end = True
        if awake in readable and _ENDING & set(os.read(awake, 4096)):
            must_end = True
        if must_end and deadline is None:
            deadline = time.monotonic() + grace
            os.kill(child, stop_signal)
        elif deadline is not None and time.monotonic() >= deadline:
            _kill_group(child)
            deadline = time.monotonic() + grace


def _kill_group(group: int) -> None:
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def _kill_orphans() -> None:
    """Kill what the command left behind, in whatever group it hides, and wait until it is gone."""
    while True:
        for pid in _children():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        try:
            os.waitpid(-1, 0)
        except ChildProcessError:
            return


def _children() -> Iterator[int]:
    # Only Linux has this file, and only there do orphans come to this process.
    with suppress(FileNotFoundError):
        yield from map(int, Path("/proc/thread-self/children").read_text().split())


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
