"""The whole road on real parts, in hands that kill: workers that are caught in mid-batch, and the audit afterwards."""

import asyncio
import json
import os
import random
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from typing import Any, ClassVar

import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from sqlalchemy.engine import make_url

from streams import topics
from streams.adapters.faces import TorchExaminer
from streams.cli.wiring import examining_services, fetch_weights, open_services
from streams.cli.work import worker_command, worker_env
from streams.client import Publisher
from streams.embedded import parts
from streams.embedded.state import Running
from streams.errors import PartFailed, Unready
from streams.events import GenerationRequested
from streams.runtime.supervisor import FIRST_PAUSE, Slot, Supervisor
from streams.settings import Settings
from streams.tools.demo_requests import STRENGTHS
from streams.tools.synthetic import enrol_synthetic
from tests.absent import absent

IDENTITIES = 4
#: Short, so that a killed worker's partitions come back in seconds.
SESSION_SECONDS = 6.0
#: A road that has not got anywhere by then never will.
PATIENCE_SECONDS = 120.0

_notes: list[str] = []


def pytest_terminal_summary(terminalreporter: Any) -> None:
    for note in _notes:
        terminalreporter.write_line(note)


@dataclass(frozen=True)
class Flow:
    """Messages and records, counted over all partitions."""

    arrived: int
    """Samples that were generated."""
    committed: int
    """Samples that the judge will not read again."""
    ended: int
    """Records on the topics on which a sample ends."""


@dataclass
class Road:
    """Running parts with somebody enrolled, and whatever a test wants to know or to break."""

    #: Conditions on the ledger's rows. A batch is being examined: taken, and not decided.
    EXAMINED: ClassVar = "state = 'in_flight' AND attempts > 0"
    #: A batch is being delivered: decided, and not noted as delivered.
    DELIVERED: ClassVar = "state <> 'in_flight' AND published_at IS NULL"
    #: A batch of requests is being made: registered, and without an image.
    MADE: ClassVar = "state = 'in_flight' AND attempts = 0 AND image_sha256 IS NULL"
    #: Over.
    ENDED: ClassVar = "published_at IS NOT NULL"

    settings: Settings
    names: Sequence[str]
    running: Running
    asked: int = 0
    supervised: list[asyncio.Task[None]] = field(default_factory=list)
    draw: random.Random = field(default_factory=lambda: random.Random(20300101))

    async def ask(self, count: int, source: str) -> None:
        """Publish requests for samples, the identities and strengths taking turns."""
        turns = zip(range(count), cycle(self.names), cycle(STRENGTHS), strict=False)
        requests = [
            GenerationRequested(source=source, request_id=f"r-{n:04d}", identity=name, seed=n, strength=strength)
            for n, name, strength in turns
        ]
        async with Publisher(self.settings.kafka or "") as publisher:
            await publisher.request(*requests)
        self.asked += count

    # -- workers ------------------------------------------------------------------------------------------------------

    def supervisor(
        self, *roles: str, command: Callable[[str], Sequence[str]] = worker_command, **env: str
    ) -> Supervisor:
        """Return a supervisor of one worker a role, with these variables over the road's own settings."""
        logs = self.settings.data_dir / "logs" / f"workers-{len(self.supervised) + 1}"
        return Supervisor(roles, workers=1, env={**worker_env(self.settings), **env}, log_dir=logs, command=command)

    @asynccontextmanager
    async def workers(self, supervisor: Supervisor) -> AsyncIterator[list[Slot]]:
        """Run a supervisor's workers. Should it end by itself, whatever waits for them is told why."""
        stopping = asyncio.Event()
        self.supervised.append(asyncio.create_task(supervisor.run(stopping)))
        try:
            yield supervisor.slots
        finally:
            stopping.set()
            await self.supervised.pop()

    async def caught(
        self,
        slot: Slot,
        condition: str,
        *,
        more_than: int = 0,
        frozen: Callable[[], Awaitable[bool]] | None = None,
    ) -> psutil.Process:
        """Stop a worker's process at a moment at which rows of the ledger show that it is at work, and leave it so.

        The rows are looked at again when it stands still: what is found then is what it is killed in the middle of.

        Args:
            slot: The only worker of its role.
            condition: On the ledger's rows.
            more_than: So many rows are not enough.
            frozen: What else must hold while the worker stands still.
        """
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            pid = slot.child.command_pid if slot.child else None
            if pid is not None and self.count(condition) > more_than:
                with suppress(psutil.NoSuchProcess):
                    process = psutil.Process(pid)
                    process.suspend()
                    if self.count(condition) > more_than and (frozen is None or await frozen()):
                        return process
                    process.resume()
                    if frozen is not None:
                        await asyncio.sleep(0.1)  # that look took long: let it work
            await asyncio.sleep(0.001)
        raise AssertionError(f"{slot.name} was never caught with work of which {condition}")

    async def hit(self, slot: Slot, process: psutil.Process, number: signal.Signals) -> int:
        """Send a signal to a worker that was caught; return its exit status. It is started again without a pause."""
        child = slot.child
        assert child is not None
        slot.pause = FIRST_PAUSE  # many kills in a row are a test's doing, not a sick worker's
        process.send_signal(number)
        if number is not signal.SIGKILL:
            process.resume()
        await self.until(lambda: child.poll() is not None)
        return child.poll() or 0

    # -- what is known ------------------------------------------------------------------------------------------------

    def count(self, condition: str = "1") -> int:
        """Return how many of the ledger's rows this holds for."""
        path = make_url(self.settings.ledger or "").database
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10) as connection:
            (found,) = connection.execute(f"SELECT count(*) FROM sample WHERE {condition}").fetchone()  # noqa: S608
        connection.close()
        return int(found)

    async def until(self, holds: Callable[[], bool], seconds: float = PATIENCE_SECONDS) -> float:
        """Wait until this holds; return how many seconds that took."""
        began = time.monotonic()
        while not holds():
            for task in self.supervised:
                if task.done():
                    task.result()
            assert time.monotonic() - began < seconds, "nothing has come of it"
            await asyncio.sleep(0.02)
        return time.monotonic() - began

    async def settled(self) -> float:
        """Wait until every sample that was asked for has its end, delivered; return how long that took."""
        return await self.until(lambda: self.count(self.ENDED) >= self.asked)

    async def flow(self) -> Flow:
        """Return how far the judge has come, as the topics and its group say."""
        kafka = self.settings.kafka or ""
        admin, consumer = AIOKafkaAdminClient(bootstrap_servers=kafka), AIOKafkaConsumer(bootstrap_servers=kafka)
        try:
            await admin.start()
            await consumer.start()
            held = await admin.list_consumer_group_offsets(f"{self.settings.group}-judge")
            names = (topics.GENERATION_SAMPLES, *topics.ENDS)
            places = [TopicPartition(topic.name, n) for topic in names for n in range(topic.partitions)]
            ends = await consumer.end_offsets(places)
        finally:
            await consumer.stop()
            await admin.close()
        arrived = sum(end for place, end in ends.items() if place.topic == topics.GENERATION_SAMPLES.name)
        return Flow(arrived, sum(max(0, one.offset) for one in held.values()), sum(ends.values()) - arrived)

    async def drained(self) -> None:
        """Wait until everything has its end and nothing will come again."""
        await self.settled()
        deadline = time.monotonic() + PATIENCE_SECONDS
        while (flow := await self.flow()).committed < flow.arrived:
            assert time.monotonic() < deadline, f"the judge does not commit what it has judged: {flow}"
            await asyncio.sleep(0.2)

    async def audit(self) -> tuple[int, dict[str, Any]]:
        """Run the audit in a process of its own; return its exit status and what it says."""
        argv = [sys.executable, "-m", "streams.cli.main", "audit", "--json"]
        process = await asyncio.create_subprocess_exec(
            *argv, env=worker_env(self.settings), stdout=asyncio.subprocess.PIPE
        )
        said, _ = await process.communicate()
        return process.returncode or 0, json.loads(said)

    async def adds_up(self) -> dict[str, Any]:
        """Wait until everything has ended, and assert the promise; return what the audit says."""
        await self.settled()
        status, audited = await self.audit()
        ended = audited["accepted"] + audited["flagged"] + audited["dead"]
        assert audited["sound"], audited["offences"]
        assert (audited["lost"], audited["conflicting"], audited["in_flight"]) == (0, 0, 0)
        assert audited["requested"] == ended == self.asked
        assert status == 0
        return audited

    def server(self, part: str) -> psutil.Process:
        """Return the process of an embedded part that answers its clients."""
        (server,) = psutil.Process(self.running.children[part]).children()
        return server

    def note(self, text: str) -> None:
        """Have a line printed below the results."""
        _notes.append(text)


async def _enrolled(settings: Settings) -> list[str]:
    """Enrol synthetic identities in an empty gallery."""
    async with examining_services(settings, create_gallery=True) as services:
        return await enrol_synthetic(IDENTITIES, services, model="face_gan")


async def _consented(settings: Settings) -> list[str]:
    """Give consent anew for whom another road has enrolled: the consent register is a part of the ledger."""
    async with open_services(settings, TorchExaminer(settings, report=print)) as services:
        names = await services.gallery.names()
        for name in names:
            await services.consent.grant(name, evidence="synthetic", at=services.now(), expires=None)
        return names


@asynccontextmanager
async def _road(settings: Settings, enrol: Callable[[Settings], Awaitable[list[str]]]) -> AsyncIterator[Road]:
    async with AsyncExitStack() as stack:
        try:
            up = await stack.enter_async_context(parts.start(settings, weights=fetch_weights))
        except (Unready, PartFailed) as error:
            absent(str(error))
        full = up.running.fill(settings)
        names = await enrol(full)
        yield Road(full, names, up.running)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def road(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Road]:
    """The parts, with four synthetic identities enrolled."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("LIKENESS_")]:
            patch.delenv(name)
        settings = Settings(
            data_dir=tmp_path_factory.mktemp("road"),
            policy="synthetic",
            session_timeout_seconds=SESSION_SECONDS,
            call_timeout_seconds=3.0,
        )
        async with _road(settings, _enrolled) as built:
            yield built


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def generate_and_judge(road: Road) -> AsyncIterator[list[Slot]]:
    """The road's own workers; whoever kills one leaves them running."""
    async with road.workers(road.supervisor("generate", "judge")) as slots:
        yield slots


@pytest.fixture
def lay(road: Road) -> Callable[[Path], AbstractAsyncContextManager[Road]]:
    """Lay a road with a data folder of its own, so with topics and a ledger of its own: new ones, or those in it."""

    def lay(data_dir: Path) -> AbstractAsyncContextManager[Road]:
        own = {"data_dir": data_dir, "kafka": None, "ledger": None}
        return _road(road.settings.model_copy(update=own), _consented)

    return lay


@pytest_asyncio.fixture(loop_scope="session")
async def road_apart(lay: Callable[[Path], AbstractAsyncContextManager[Road]], tmp_path: Path) -> AsyncIterator[Road]:
    """A road with topics and a ledger of its own, for what the others must not see."""
    async with lay(tmp_path / "apart") as built:
        yield built
