"""One worker process of the product, as `likeness worker` starts it, and waiting for what it should bring about."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from streams.cli.work import supervisor
from streams.errors import PartFailed
from streams.settings import Settings
from streams.tools.audit_topics import Topics
from streams.topics import Topic

#: Without anything new on the topics for so many seconds the worker is taken for stuck; it loads its networks in these.
PATIENCE_SECONDS = 120.0
#: Seconds between two looks at the topics' ends: a look is two small questions to the broker.
LOOK_SECONDS = 0.25
#: How long the broker may take to answer.
BROKER_SECONDS = 30.0


class Worker:
    """A worker that runs."""

    def __init__(self, settings: Settings, running: asyncio.Task[None]) -> None:
        """Take the supervisor's task."""
        self._settings, self._running = settings, running

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
                now = sum((await reader.ends([topic.name for topic in topics])).values())
                if now >= records:
                    return
                if now != seen:
                    seen, seen_at = now, loop.time()
                if loop.time() - seen_at > PATIENCE_SECONDS:
                    raise PartFailed(f"expected {records} records, {now} came: see {self._settings.data_dir / 'logs'}")
                await asyncio.sleep(LOOK_SECONDS)


@asynccontextmanager
async def working(settings: Settings, role: str) -> AsyncIterator[Worker]:
    """Run one worker process of a role; end it on leaving.

    Raises:
        PartFailed: If it did not live through: what was measured then is a restart.
    """
    supervised = supervisor(settings, [role], 1)
    stopping = asyncio.Event()
    running = asyncio.create_task(supervised.run(stopping))
    try:
        yield Worker(settings, running)
    finally:
        stopping.set()
        await running
    if any(slot.restarts for slot in supervised.slots):
        raise PartFailed(f"the worker ended and was started again: see {settings.data_dir / 'logs'}")
