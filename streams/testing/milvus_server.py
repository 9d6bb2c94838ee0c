"""A real Milvus to test against, which can be killed, paused and brought back at the same address."""

import asyncio
import signal
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from streams.embedded import milvus
from streams.embedded.loopback import until_it_answers
from streams.processes.child import Child
from streams.testing import milvus_standalone

#: How long a server may take until it answers: a loaded machine, a standalone that unpacks and recovers.
_START_SECONDS = 180.0


@dataclass
class MilvusServer:
    """One server: where it is, and the child process that it runs in."""

    uri: str
    token: str
    folder: Path
    """Where its data lies."""
    _start: Callable[[], Child]
    _child: Child | None = field(default=None, init=False)

    @classmethod
    def lite(cls, folder: Path) -> "MilvusServer":
        """Return Milvus Lite's server with its data in ``folder``, not started yet."""
        plan = milvus.plan(folder)
        return cls(plan.uri, "", plan.data, lambda: milvus.start(plan, folder / "milvus-lite.log"))

    @classmethod
    def standalone(cls, folder: Path, cache_dir: Path) -> "MilvusServer":
        """Return a Milvus standalone that asks for a password, not started yet; unpacks it where needed."""
        plan = milvus_standalone.prepare(folder, cache_dir, authentication=True)
        token = milvus_standalone.ROOT_TOKEN
        return cls(plan.uri, token, plan.data, lambda: milvus_standalone.start(plan, folder / "milvus-standalone.log"))

    def start(self) -> None:
        """Start the server, again or for the first time; return when it answers."""
        child = self._child = self._start()
        asyncio.run(
            until_it_answers(child, lambda: milvus.answers(self.uri, self.token), [], milvus.REMEDY, _START_SECONDS)
        )

    def kill(self) -> None:
        """Kill the server as if the machine had lost it."""
        for process in self._processes():
            process.send_signal(signal.SIGKILL)
        self.stop()

    def pause(self) -> None:
        """Stop the server's clock: it keeps its connections and answers nothing."""
        for process in self._processes():
            process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Let a paused server go on."""
        for process in self._processes():
            process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        """End the server, where it runs."""
        if self._child is not None:
            self._child.stop()
            self._child = None

    def _processes(self) -> list[psutil.Process]:
        command = self._child.command_pid if self._child is not None else None
        if command is None:
            raise RuntimeError("expected a server that runs, got none: start it first")
        return [*psutil.Process(command).children(recursive=True), psutil.Process(command)]
