"""Keeps worker processes running: one that ends is started again, with a growing pause."""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from streams.errors import SETUP_STATUS, BadInput, Unready
from streams.processes.child import Child
from streams.processes.cores import ANYWHERE, Cores, starting_on
from streams.runtime.metrics import Oversight

log = logging.getLogger(__name__)

#: Seconds: the pause before the first restart, and the longest one.
FIRST_PAUSE, LONGEST_PAUSE = 0.5, 30.0
#: A worker that lived for so many seconds was well: its next restart is the first again.
HEALTHY_SECONDS = 60.0
#: Seconds between looks at the children.
_LOOK_SECONDS = 0.1


@dataclass
class Slot:
    """One worker that should always be there."""

    role: str
    number: int
    cores: Cores = ANYWHERE
    child: Child | None = None
    restarts: int = 0
    pause: float = FIRST_PAUSE
    start_at: float = 0.0
    started_at: float = field(default=0.0)

    @property
    def name(self) -> str:
        """What logs call it."""
        return f"{self.role}-{self.number}"


class Supervisor:
    """Starts one process a slot and starts it again when it ends; ends them all when asked to."""

    def __init__(
        self,
        roles: Sequence[str],
        *,
        workers: int,
        env: Mapping[str, str],
        log_dir: Path,
        command: Callable[[str], Sequence[str]],
        oversight: Oversight | None = None,
        cores: Mapping[str, Sequence[Cores]] = MappingProxyType({}),
    ) -> None:
        """Prepare ``workers`` slots for each role.

        Args:
            roles: Names of roles.
            workers: Processes a role.
            env: The whole environment of every worker.
            log_dir: Where each worker's log goes.
            command: From a role to the command that works on it.
            oversight: Told how the workers fare.
            cores: Of a role whose workers have cores of their own, each one's. It gets as many compute threads, and
                whatever it starts runs there too: what decodes or examines for a worker does so while that one waits.
        """
        self.slots = [
            Slot(role, number, share)
            for role in roles
            for number, share in enumerate(cores.get(role, [ANYWHERE] * workers), start=1)
        ]
        self._env, self._log_dir, self._command = env, log_dir, command
        self._oversight = oversight or Oversight()

    async def run(self, stopping: asyncio.Event) -> None:
        """Supervise until ``stopping`` is set.

        Raises:
            Unready: If a worker says that it must not run as it is set up.
            BadInput: If their metrics cannot be served.
        """
        with self._oversight.watching():
            try:
                while not stopping.is_set():
                    for slot in self.slots:
                        self._look(slot, asyncio.get_running_loop().time())
                    await asyncio.sleep(_LOOK_SECONDS)
            finally:
                children = [slot.child for slot in self.slots if slot.child is not None]
                await asyncio.gather(*(asyncio.to_thread(child.stop) for child in children))

    def _look(self, slot: Slot, now: float) -> None:
        if slot.child is None:
            if now >= slot.start_at:
                self._start(slot, now)
            return
        status = slot.child.poll()
        if status is None:
            return
        if status == SETUP_STATUS:
            raise Unready(f"worker {slot.name} cannot run as it is set up:\n{slot.child.log_tail(3)}")
        if now - slot.started_at > HEALTHY_SECONDS:
            slot.pause = FIRST_PAUSE
        log.warning("worker %s ended with status %s; starting it again in %.1f s", slot.name, status, slot.pause)
        slot.child.stop()
        slot.child = None
        self._oversight.ended(slot.role, slot.name)
        slot.restarts += 1
        self._pause(slot, now)

    def _start(self, slot: Slot, now: float) -> None:
        """Start the slot's worker. A machine that cannot at this moment, for want of memory or disk, may soon."""
        log_path = self._log_dir / f"worker-{slot.name}.log"
        try:
            env = {**self._env, **self._oversight.environment(slot.role, slot.name)}
            if slot.cores:
                env["LIKENESS_THREADS"] = str(len(slot.cores))
            with starting_on(slot.cores):
                slot.child = Child.start(slot.name, self._command(slot.role), env, log_path, grace=25.0)
        except (OSError, BadInput) as error:
            if isinstance(error, BadInput) and not slot.restarts:
                raise  # it never could
            log.error("worker %s cannot be started: %s; trying again in %.1f s", slot.name, error, slot.pause)
            self._pause(slot, now)
            return
        slot.started_at = now
        self._oversight.started(slot.role)

    @staticmethod
    def _pause(slot: Slot, now: float) -> None:
        slot.start_at, slot.pause = now + slot.pause, min(LONGEST_PAUSE, 2 * slot.pause)
