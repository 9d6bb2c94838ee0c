"""One worker process of the product, as `likeness worker` starts it, and waiting for what it should bring about."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from streams.cli.work import supervisor
from streams.errors import PartFailed
from streams.runtime.supervisor import Slot
from streams.settings import Settings
from streams.tools.audit_topics import Topics
from streams.topics import Topic

#: Without anything new on the topics for so many seconds the worker is taken for stuck; it loads its networks in these.
PATIENCE_SECONDS = 120.0
#: Seconds between two looks at the topics' ends: a look is two small questions to the broker.
LOOK_SECONDS = 0.25
#: So many lines of a failed worker's log are shown.
LOG_LINES = 30
#: How long the broker may take to answer.
BROKER_SECONDS = 30.0


class Worker:
    """A worker that runs."""

    def __init__(self, settings: Settings, slot: Slot, running: asyncio.Task[None]) -> None:
        """Take the supervisor's slot and task."""
        self._settings, self._slot, self._running = settings, slot, running

    def failure(self, what: str) -> PartFailed:
        """Return the error that says what happened, with the end of the worker's log, which is deleted afterwards."""
        log = self._settings.data_dir / "logs" / f"worker-{self._slot.name}.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]) if log.exists() else "(nothing)"
        return PartFailed(f"worker {self._slot.name}: {what}. The end of its log:\n{tail}")

    def require_first(self) -> None:
        """Raise PartFailed where the worker ended and was started again: what is measured then is a restart."""
        if self._slot.restarts:
            raise self.failure("it ended, and was started again")

    async def until(self, topics: Sequence[Topic], records: int) -> None:
        """Wait until the topics hold so many records in all.

        Raises:
            PartFailed: If nothing comes any more.
        """
        loop = asyncio.get_running_loop()
        seen, seen_at = -1, loop.time()
        async with Topics(self._settings.kafka or "", timeout_seconds=BROKER_SECONDS) as reader:
            while True:
                if self._running.done():
                    self._running.result()
                self.require_first()
                now = sum((await reader.ends([topic.name for topic in topics])).values())
                if now >= records:
                    return
                if now != seen:
                    seen, seen_at = now, loop.time()
                if loop.time() - seen_at > PATIENCE_SECONDS:
                    raise self.failure(f"expected {records} records in all, {now} are there")
                await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def working(settings: Settings, role: str) -> AsyncIterator[Worker]:
    """Run one worker process of a role; end it on leaving."""
    supervised = supervisor(settings, [role], 1)
    stopping = asyncio.Event()
    running = asyncio.create_task(supervised.run(stopping))
    try:
        yield Worker(settings, supervised.slots[0], running)
    finally:
        stopping.set()
        await running
