"""One embedded server: how it is started and asked, and the process that it runs in."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

import psutil

from streams.embedded.loopback import until_it_answers
from streams.errors import PartFailed
from streams.processes.child import Child

#: How long a server may take to answer, in seconds; a slow machine that loads a model for the first time needs most.
READY_SECONDS = 180.0

AGAIN = "start again; the data is kept"


@dataclass
class Server:
    """A part, or one node of it."""

    name: str
    """Its key in the state file: ``triton``, or ``kafka-2`` for a node."""
    prepare: Callable[[], None]
    """Lays out what its command needs, where that is missing; blocks."""
    launch: Callable[[], Child]
    """Starts its command: every time the same one, with the same ports and data; returns at once."""
    answers: Callable[[], Awaitable[None]]
    """Asks it once. Raises DependencyUnavailable where there is no answer."""
    ports: Sequence[int]
    remedy: str
    others_go_on: bool = False
    """Whether it is a node whose death the other nodes survive."""
    models_of: Callable[[Child], list[psutil.Process]] = lambda child: []
    """Finds the processes in which it runs models: without one of them it answers on, with errors."""
    _child: Child | None = field(default=None, init=False)
    _models: list[psutil.Process] = field(default_factory=list, init=False)
    _starting: asyncio.Lock = field(default_factory=asyncio.Lock, init=False)

    @property
    def child(self) -> Child:
        """The process that it runs in, or ran in last."""
        if self._child is None:
            raise RuntimeError(f"{self.name} was never started")
        return self._child

    @property
    def has_ended(self) -> bool:
        """Whether its command has ended, and nobody is starting it again."""
        return not self._starting.locked() and self.child.poll() is not None

    @property
    def has_lost_a_model(self) -> bool:
        """Whether one of its models' processes is gone, and nobody is starting it again."""
        return not self._starting.locked() and not all(map(_lives, self._models))

    async def start(self) -> None:
        """Start it and wait until it answers; end first what is left of it, where it was started before.

        Raises:
            PartFailed: It ended, or did not answer in time.
        """
        async with self._starting:
            await self._start()

    async def start_if_ended(self) -> None:
        """Start it where nobody else has done so meanwhile. Raises PartFailed as ``start`` does."""
        async with self._starting:
            if self.child.poll() is not None:
                await self._start()

    async def stop(self) -> None:
        """End it, where it was started."""
        if self._child is not None:
            await asyncio.to_thread(self._child.stop)

    def failure(self) -> PartFailed:
        """Return the error that says with which status it ended."""
        return self.child.failure(f"ended with status {self.child.poll()}", AGAIN)

    async def _start(self) -> None:
        await self.stop()
        await asyncio.to_thread(self.prepare)
        self._child = child = self.launch()
        await until_it_answers(child, self.answers, self.ports, self.remedy, READY_SECONDS)
        self._models = self.models_of(child)  # it is ready: all of them are there


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False
