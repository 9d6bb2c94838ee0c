"""Worker processes of the product, as `likeness worker` starts them, and waiting for what they should bring about."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from streams.cli.wiring.workers import supervisor
from streams.errors import PartFailed
from streams.kafka.clients import closed
from streams.runtime.roles import ROLES
from streams.runtime.supervisor import Slot
from streams.settings import Settings
from streams.tools.audit.topics import Topics
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
    """One worker that runs, or several of one role."""

    def __init__(self, settings: Settings, slots: Sequence[Slot], running: asyncio.Task[None]) -> None:
        """Take the supervisor's slots and task."""
        self._settings, self._slots, self._running = settings, slots, running

    def failure(self, what: str, slot: Slot | None = None) -> PartFailed:
        """Return the error that says what happened, with the end of a worker's log, which is deleted afterwards."""
        slot = slot or self._slots[0]
        log = self._settings.data_dir / "logs" / f"worker-{slot.name}.log"
        tail = "\n".join(log.read_text(errors="replace").splitlines()[-LOG_LINES:]) if log.exists() else "(nothing)"
        return PartFailed(f"worker {slot.name}: {what}. The end of its log:\n{tail}")

    def require_first(self) -> None:
        """Raise PartFailed where a worker ended and was started again: what is measured then is a restart."""
        if self._running.done():
            self._running.result()
        for slot in self._slots:
            if slot.restarts:
                raise self.failure("it ended, and was started again", slot)

    async def at_work(self) -> None:
        """Wait until every worker has its share of the partitions.

        Raises:
            PartFailed: If that takes too long.
        """
        group = ROLES[self._slots[0].role].group(self._settings.group)
        admin = AIOKafkaAdminClient(bootstrap_servers=self._settings.kafka)
        await admin.start()
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                while not await _settled(admin, group, len(self._slots)):
                    self.require_first()
                    await asyncio.sleep(LOOK_SECONDS)
        except TimeoutError:
            raise self.failure(
                f"expected {len(self._slots)} in the group {group}, which has not come to rest"
            ) from None
        finally:
            await closed(admin.close())

    async def until(self, topics: Sequence[Topic], records: int) -> None:
        """Wait until the topics hold so many records in all.

        Raises:
            PartFailed: If nothing comes any more.
        """
        loop = asyncio.get_running_loop()
        seen, seen_at = -1, loop.time()
        async with Topics(self._settings.kafka or "", timeout_seconds=BROKER_SECONDS) as reader:
            while True:
                self.require_first()
                now = sum((await reader.ends([topic.name for topic in topics])).values())
                if now >= records:
                    return
                if now != seen:
                    seen, seen_at = now, loop.time()
                if loop.time() - seen_at > PATIENCE_SECONDS:
                    raise self.failure(f"expected {records} records in all, {now} are there")
                await asyncio.sleep(LOOK_SECONDS)


async def _settled(admin: AIOKafkaAdminClient, group: str, members: int) -> bool:
    try:
        [response] = await admin.describe_consumer_groups([group])
    except KafkaError as error:
        if not error.retriable:  # a young broker is still choosing who keeps the groups
            raise
        return False
    [(_, _, state, _, _, present, *_)] = response.groups
    return bool(state == "Stable" and len(present) == members)


@asynccontextmanager
async def working(settings: Settings, role: str, workers: int = 1) -> AsyncIterator[Worker]:
    """Run worker processes of a role; end them on leaving."""
    supervised = supervisor(settings, [role], workers)
    stopping = asyncio.Event()
    running = asyncio.create_task(supervised.run(stopping))
    try:
        yield Worker(settings, supervised.slots, running)
    finally:
        stopping.set()
        await running
