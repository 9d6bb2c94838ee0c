"""Start all embedded parts together, watch them, and end them together."""

import asyncio
import importlib.metadata
import os
import threading
import time
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

import psutil

from streams.embedded import folder, kafka, kafka_jars, kafka_topics, milvus, state, triton
from streams.embedded.loopback import until_it_answers
from streams.embedded.state import Running
from streams.processes.child import Child
from streams.settings import Settings
from streams.shipped import shipped

#: How long a part may take to answer, in seconds; a slow machine that loads a model for the first time needs most.
READY_SECONDS = 180.0

#: How long a part that somebody else runs may take to answer, in seconds.
OTHERS_SECONDS = 15.0

#: How long a new owner waits for the processes of one that was killed, in seconds.
_FORMER_SECONDS = 40.0

#: Seconds between two looks at whether each part still runs.
_WATCH_SECONDS = 0.5

_AGAIN = "start again; the data is kept"

Phase = Literal["downloading", "starting", "ready"]


@dataclass(frozen=True)
class Progress:
    """How far one part is."""

    part: str
    phase: Phase
    detail: str
    seconds: float
    """Since the start of all parts."""


Report = Callable[[Progress], None]

Weights = Callable[[Path, Callable[[str], None]], None]
"""Fetches weights into a cache folder, and reports line by line."""


@dataclass
class Parts:
    """The parts that run, and the processes of those that are embedded."""

    running: Running
    _children: dict[str, Child]
    _stubs: list[psutil.Process] = field(default_factory=list)
    """Where Triton runs its models: without one of them it answers on, with an error to every request."""

    async def watch(self) -> NoReturn:
        """Wait until a part dies. Raises PartFailed then, and returns never."""
        while True:
            lost = not all(map(_lives, self._stubs))
            await asyncio.sleep(_WATCH_SECONDS)  # a server that has just ended took them along
            for child in self._children.values():
                status = child.poll()
                if status is not None:
                    raise child.failure(f"ended with status {status}", _AGAIN)
            if lost:
                raise self._children["triton"].failure("has lost the process of a model", _AGAIN)


@asynccontextmanager
async def start(
    settings: Settings,
    *,
    fresh: bool = False,
    report: Report = lambda progress: None,
    models: Path | None = None,
    weights: Weights = lambda cache_dir, report: None,
) -> AsyncIterator[Parts]:
    """Start every part that the settings give no address for, in parallel; end them all on leaving.

    A part that has an address is asked whether it answers, and nothing else. Two owners never share a data folder.

    Args:
        settings: Which parts are somebody else's, and where data and caches lie.
        fresh: Delete the embedded parts' data first.
        report: Told of every step, from more than one thread.
        models: Triton's model repository; the shipped one where None.
        weights: Puts what the models need into the cache folder; runs before Triton starts, and may download.

    Raises:
        BadInput: The data folder cannot be used, or is in use.
        DependencyUnavailable: A part that has an address does not answer.
        PartFailed: A part does not start.
        Unready: Something is not installed.
    """
    data_dir = settings.data_dir.absolute()
    await asyncio.to_thread(folder.claim, data_dir)
    with ExitStack() as stack:
        hold = await asyncio.to_thread(
            stack.enter_context,
            folder.held(folder.lock_path(data_dir), _FORMER_SECONDS, partial(state.already_up, data_dir)),
        )
        if fresh:
            await asyncio.to_thread(folder.wipe, data_dir)
        starter = _Starter(settings, data_dir, hold, models or shipped("triton_models"), weights, report)
        try:
            running = await starter.start_all()
            state.write(data_dir, running)
            yield Parts(running, starter.children, starter.stubs)
        finally:
            state.forget(data_dir)
            await starter.stop_all()


@dataclass
class _Starter:
    """What the parts have in common while they start."""

    settings: Settings
    data_dir: Path
    hold: int
    models: Path
    weights: Weights
    report: Report
    children: dict[str, Child] = field(default_factory=dict)
    stubs: list[psutil.Process] = field(default_factory=list)
    addresses: dict[str, str] = field(default_factory=dict)
    cleanings: list[Callable[[], None]] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    async def start_all(self) -> Running:
        """Start the parts in parallel; the first error cancels the others and is raised alone."""
        settings = self.settings
        token = settings.milvus_token.get_secret_value()
        starts: list[Coroutine[None, None, None]] = [
            self._other("kafka", settings.kafka, kafka_topics.answers) if settings.kafka else self._kafka(),
            self._other("triton", settings.triton, triton.answers) if settings.triton else self._triton(),
            self._other("milvus", settings.milvus, partial(milvus.answers, token=token))
            if settings.milvus
            else self._milvus(),
        ]
        await _all_or_first_error(starts)
        images = self.data_dir / "images"
        if settings.images is None:
            with folder.writable(self.data_dir):
                images.mkdir(exist_ok=True)
        return Running(
            **self.addresses,
            ledger=settings.ledger or f"sqlite:///{self.data_dir / 'ledger.db'}",
            images=settings.images or str(images),
            pid=os.getpid(),
            started=state.started(),
            versions={part: version for part, version in versions().items() if part in self.children},
            logs={part: str(child.log_path) for part, child in self.children.items()},
            children={part: child.pid for part, child in self.children.items()},
        )

    async def stop_all(self) -> None:
        """End every part that was started, in parallel."""
        self.cancelled.set()
        await asyncio.gather(*(asyncio.to_thread(child.stop) for child in self.children.values()))
        for clean in self.cleanings:
            clean()

    async def _other(self, part: str, address: str, answers: Callable[..., Coroutine[None, None, None]]) -> None:
        self._tell(part, "starting", f"asking {address}")
        await answers(address, timeout_seconds=OTHERS_SECONDS)
        self.addresses[part] = address
        self._tell(part, "ready", f"{address}, which somebody else runs")

    async def _kafka(self) -> None:
        kafka.java()
        jars = await asyncio.to_thread(
            kafka_jars.fetch, self.settings.cache_dir, partial(self._tell, "kafka", "downloading"), self.cancelled
        )
        nodes = kafka.plan(self.data_dir)
        self._tell("kafka", "starting", f"Apache Kafka {kafka_jars.version()}")
        await asyncio.to_thread(kafka.prepare, nodes, jars, self.cancelled)
        (node,) = nodes
        child = self._started("kafka", kafka.start(node, jars, self._log("kafka"), [self.hold]))
        ports = [node.port, node.controller_port]
        answers = partial(kafka_topics.answers, node.address)
        await until_it_answers(child, answers, ports, kafka.REMEDY, READY_SECONDS)
        created = await kafka_topics.create(node.address)
        self.addresses["kafka"] = node.address
        self._tell("kafka", "ready", f"{node.address}, {len(created)} topics created")

    async def _triton(self) -> None:
        plan = triton.plan(self.data_dir, self.settings.cache_dir, self.models)
        await asyncio.to_thread(self.weights, self.settings.cache_dir, partial(self._tell, "triton", "downloading"))
        self._tell("triton", "starting", f"models of {self.models}")
        await asyncio.to_thread(triton.prepare, plan)
        self.cleanings.append(partial(triton.clean, plan))
        child = self._started("triton", triton.start(plan, self._log("triton"), [self.hold]))
        answers = partial(triton.answers, plan.address)
        await until_it_answers(child, answers, [plan.port], triton.REMEDY, READY_SECONDS)
        self.stubs = triton.stubs(child)  # it is ready: all of them are there
        self.addresses["triton"] = plan.address
        self._tell("triton", "ready", plan.address)

    async def _milvus(self) -> None:
        plan = milvus.plan(self.data_dir)
        self._tell("milvus", "starting", "Milvus Lite")
        child = self._started("milvus", milvus.start(plan, self._log("milvus"), [self.hold]))
        await until_it_answers(child, partial(milvus.answers, plan.uri), [plan.port], milvus.REMEDY, READY_SECONDS)
        self.addresses["milvus"] = plan.uri
        self._tell("milvus", "ready", plan.uri)

    def _started(self, part: str, child: Child) -> Child:
        self.children[part] = child
        return child

    def _log(self, part: str) -> Path:
        return self.data_dir / "logs" / f"{part}.log"

    def _tell(self, part: str, phase: Phase, detail: str) -> None:
        self.report(Progress(part, phase, detail, time.monotonic() - self.began))


def _lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def versions() -> dict[str, str]:
    """Return the version of each embedded part that is installed."""
    found = {"kafka": kafka_jars.version()}
    for part, distribution in (("triton", "nvidia-pytriton"), ("milvus", "milvus-lite")):
        try:
            found[part] = f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


async def _all_or_first_error(starts: Sequence[Coroutine[None, None, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for one in starts:
                group.create_task(one)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
