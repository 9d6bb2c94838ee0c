"""The workers of a road: each under a supervisor of its own, the product's, so that they can be more and fewer."""

import asyncio
import itertools
import logging
import random
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from streams.cli.wiring.workers import worker_command
from streams.errors import Unready
from streams.runtime import supervisor
from streams.runtime.supervisor import FIRST_PAUSE, Slot, Supervisor

REPOSITORY = Path(__file__).parents[3]


def command(role: str) -> list[str]:
    """Return the command of a worker under test; the reconciler has nothing to break and is the product's."""
    if role == "reconcile":
        return worker_command(role)
    return [sys.executable, "-m", "tests.faults.road.worker", role]


@dataclass(eq=False)
class Hand:
    """One worker: a process that comes back when it ends."""

    role: str
    supervisor: Supervisor
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    task: "asyncio.Task[None] | None" = None

    @property
    def slot(self) -> Slot:
        """Its only place under its supervisor."""
        return self.supervisor.slots[0]

    @property
    def process(self) -> psutil.Process | None:
        """The worker's process; None while there is none."""
        pid = self.slot.child.command_pid if self.slot.child else None
        with suppress(psutil.NoSuchProcess):
            return psutil.Process(pid) if pid else None
        return None

    @property
    def at_work(self) -> bool:
        """Whether it has joined its group since it was started last."""
        return self.slot.child is not None and "works for group" in self.slot.child.log_tail(100)

    def hurry(self) -> None:
        """Have it started again at once: many kills in a row are the runner's doing, not a sick worker's."""
        self.slot.pause = FIRST_PAUSE
        self.slot.start_at = min(self.slot.start_at, asyncio.get_running_loop().time() + FIRST_PAUSE)


@dataclass
class Crew:
    """All workers of a road."""

    env: Mapping[str, str]
    log_dir: Path
    hands: list[Hand] = field(default_factory=list)
    most_rss: dict[str, int] = field(default_factory=dict)
    """Bytes that one worker of each role has had at most."""
    oddities: list[str] = field(default_factory=list)
    """What a worker did that none should do."""
    exits: "Counter[str]" = field(default_factory=Counter)
    """With which status workers ended that were started again, and how many did."""
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def of(self, role: str) -> list[Hand]:
        """Return the workers of a role."""
        return [hand for hand in self.hands if hand.role == role]

    def add(self, role: str) -> Hand:
        """Start one more worker."""
        logs = self.log_dir / f"{role}-{next(self._numbers)}"
        hand = Hand(role, Supervisor([role], workers=1, env=self.env, log_dir=logs, command=command))
        hand.task = asyncio.create_task(hand.supervisor.run(hand.stopping))
        self.hands.append(hand)
        return hand

    async def dismiss(self, hands: Sequence[Hand]) -> None:
        """End workers in order, all at once."""
        for hand in hands:
            self.hands.remove(hand)
            hand.stopping.set()
        for hand in hands:
            await self._ended(hand)

    async def have(self, role: str, count: int) -> None:
        """Start or end workers until there are so many of the role."""
        while len(self.of(role)) < count:
            self.add(role)
        await self.dismiss(self.of(role)[count:])

    async def restaff(self, role: str) -> None:
        """Replace each worker whose supervisor has given up, which none should; that is noted."""
        for hand in self.of(role):
            if hand.task is not None and hand.task.done():
                self.hands.remove(hand)
                await self._ended(hand)
                self.add(role)

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Count exits: the supervisors tell of each in their log."""

        class Listener(logging.Handler):
            def emit(self, record: logging.LogRecord) -> None:
                if "ended with status" in record.msg and isinstance(record.args, tuple):
                    exits[str(record.args[1])] += 1

        exits, listener, logger = self.exits, Listener(), logging.getLogger(supervisor.__name__)
        logger.addHandler(listener)
        logger.setLevel(logging.WARNING)
        logger.propagate, before = False, logger.propagate
        try:
            yield
        finally:
            logger.removeHandler(listener)
            logger.propagate = before

    async def _ended(self, hand: Hand) -> None:
        if hand.task is None:
            return
        try:
            await hand.task
        except Unready as error:
            self.oddities.append(f"the supervisor of a {hand.role} gave up: {error}")

    # -- what is done to them -----------------------------------------------------------------------------------------

    def running(self, role: str | None = None) -> list[tuple[Hand, psutil.Process]]:
        """Return the workers that have a process now."""
        found = [(hand, hand.process) for hand in self.hands if hand.role == role or (role is None)]
        return [(hand, process) for hand, process in found if process is not None]

    async def one(self, role: str | None, draw: random.Random) -> tuple[Hand, psutil.Process]:
        """Return one worker with a process, drawn; wait until there is one."""
        await until(lambda: bool(self.running(role)), f"a {role or 'worker'} runs")
        return draw.choice(self.running(role))

    def send(self, process: psutil.Process, number: signal.Signals) -> None:
        """Send a signal to a worker, which may be gone."""
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)

    async def end(self, hand: Hand, process: psutil.Process, seconds: float) -> float:
        """Tell a worker to stop; return the seconds that it took. One that takes too long, or fails, is an oddity."""
        child, told_at = hand.slot.child, time.monotonic()
        hand.hurry()
        self.send(process, signal.SIGTERM)
        if child is None:
            return 0.0
        try:
            await until(lambda: child.poll() is not None, f"{hand.role} ends", seconds)
        except TimeoutError:
            self.oddities.append(f"a {hand.role} has not ended {seconds:g} s after SIGTERM")
        status = child.poll()
        # A process that was told to stop before Python could listen dies of the signal itself: that loses nothing.
        if status not in (0, None, 128 + signal.SIGTERM):
            self.oddities.append(f"a {hand.role} ended with status {status} after SIGTERM")
        return time.monotonic() - told_at

    def weigh(self) -> None:
        """Note how much memory each worker has."""
        for hand, process in self.running():
            with suppress(psutil.NoSuchProcess):
                rss = process.memory_info().rss
                self.most_rss[hand.role] = max(rss, self.most_rss.get(hand.role, 0))


async def until(holds: Callable[[], bool], what: str, seconds: float = 120.0) -> None:
    """Wait until this holds. Raises TimeoutError that says what did not come."""
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"expected within {seconds:g} s that {what}")
        await asyncio.sleep(0.05)
