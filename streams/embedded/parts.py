"""Start all embedded parts together, watch them, start one again, and end them together."""

import asyncio
import importlib.metadata
import logging
import os
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import NoReturn

from streams.embedded import folder, kafka, kafka_jars, state
from streams.embedded.server import AGAIN, Server
from streams.embedded.starting import NodeProperties, Report, Starter, Weights
from streams.embedded.state import Running
from streams.errors import BadInput, PartFailed
from streams.settings import Settings
from streams.shipped import shipped

log = logging.getLogger(__name__)

#: Seconds: the pause before a node that died is started again, and the longest one.
FIRST_PAUSE, LONGEST_PAUSE = 1.0, 30.0
#: A node that lived for so many seconds was well: its next pause is the first again.
HEALTHY_SECONDS = 60.0

#: How long a new owner waits for the processes of one that was killed, in seconds.
_FORMER_SECONDS = 40.0

#: Seconds between two looks at whether each part still runs.
_WATCH_SECONDS = 0.5


@dataclass(frozen=True)
class Comeback:
    """How a node came back last."""

    at: float = float("-inf")
    pause: float = 0.0

    def next(self, now: float) -> "Comeback":
        """Return how it comes back when it dies now: the sooner that is, the later."""
        healthy = now - self.at > HEALTHY_SECONDS + self.pause
        return Comeback(now, FIRST_PAUSE if healthy else min(LONGEST_PAUSE, 2 * self.pause))


@dataclass
class Parts:
    """The parts that run, and the processes of those that are embedded."""

    running: Running
    """Where they answer, and in which processes they run now."""
    _data_dir: Path
    _servers: Mapping[str, Server]
    _comebacks: dict[str, Comeback] = field(default_factory=dict)
    """Of nodes that died."""

    async def start_again(self, part: str) -> None:
        """End what is left of a part and start it again, with the same command, ports and data; wait for its answer.

        Nodes of a cluster that has lost its majority answer only once a majority runs: start these at the same time.

        Args:
            part: A key of ``running.children``: ``triton``, ``milvus``, ``kafka``; ``kafka-1`` … of three nodes.

        Raises:
            BadInput: No such part is run here.
            PartFailed: It does not start.
        """
        if part not in self._servers:
            raise BadInput(f"expected a part that is run here, one of {', '.join(self._servers)}; got {part!r}")
        try:
            await self._servers[part].start()
        finally:
            self._note_children()

    async def watch(self) -> NoReturn:
        """Bring back nodes of a cluster that die. Raises PartFailed when any other part does, and returns never."""
        tasks: dict[str, asyncio.Task[None]] = {}
        try:
            while True:
                maimed = [server for server in self._servers.values() if server.has_lost_a_model]
                await asyncio.sleep(_WATCH_SECONDS)  # a server that has just ended took its models along
                for name, server in self._servers.items():
                    if name in tasks and tasks[name].done():
                        tasks.pop(name).result()
                    if not server.has_ended or name in tasks:
                        continue
                    if not server.others_go_on:
                        raise server.failure()
                    tasks[name] = asyncio.create_task(self._bring_back(server))
                for server in maimed:
                    if server.has_lost_a_model:
                        raise server.child.failure("has lost the process of a model", AGAIN)
        finally:
            for task in tasks.values():
                task.cancel()
            await asyncio.gather(*tasks.values(), return_exceptions=True)

    async def _bring_back(self, server: Server) -> None:
        """Start a node again after a pause; should it end once more, ``watch`` sees to that too."""
        back = self._comebacks.get(server.name, Comeback()).next(time.monotonic())
        self._comebacks[server.name] = back
        status = server.child.poll()
        log.warning("%s ended with status %s; it is started again in %.0f s", server.child.name, status, back.pause)
        await asyncio.sleep(back.pause)
        try:
            await server.start_if_ended()
        except PartFailed as error:
            log.warning("%s", error)
        finally:
            self._note_children()

    def _note_children(self) -> None:
        self.running = replace(self.running, children=_children(self._servers))
        state.write(self._data_dir, self.running)


@asynccontextmanager
async def start(
    settings: Settings,
    *,
    fresh: bool = False,
    report: Report = lambda progress: None,
    models: Path | None = None,
    weights: Weights = lambda cache_dir, report: None,
    kafka_nodes: int = 1,
    kafka_properties: Mapping[str, str] | NodeProperties = lambda node: {},
) -> AsyncIterator[Parts]:
    """Start every part that the settings give no address for, in parallel; end them all on leaving.

    A part that has an address is asked whether it answers, and nothing else. Two owners never share a data folder.

    Args:
        settings: Which parts are somebody else's, and where data and caches lie.
        fresh: Delete the embedded parts' data first.
        report: Told of every step, from more than one thread.
        models: Triton's model repository, of which all are served; the shipped one where None, of which those are
            served that the settings name.
        weights: Puts what the models need into the cache folder; runs before Triton starts, and may download.
        kafka_nodes: One, or three, each of which keeps every record: then Kafka survives the death of one of them.
        kafka_properties: Broker properties over ours, such as ``log.retention.ms``: the same for every node, or what
            a function returns for one. That function is called before the node starts and knows its port by then, so
            that it can put something of its own in front and name that as ``advertised.listeners``. The parts'
            address, ``Running.kafka``, stays where the nodes themselves listen.

    Raises:
        BadInput: The data folder cannot be used, is in use, or holds another number of Kafka nodes.
        DependencyUnavailable: A part that has an address does not answer.
        PartFailed: A part does not start.
        Unready: Something is not installed.
    """
    kafka.check_count(kafka_nodes)
    if settings.kafka and kafka_nodes > 1:
        raise BadInput(
            f"expected to start {kafka_nodes} Kafka nodes, but LIKENESS_KAFKA names one that somebody else runs,"
            f" {settings.kafka}: unset it, or do not ask for nodes"
        )
    of_node = kafka_properties if callable(kafka_properties) else lambda node: kafka_properties
    data_dir = settings.data_dir.absolute()
    await asyncio.to_thread(folder.claim, data_dir)
    with ExitStack() as stack:
        hold = await asyncio.to_thread(
            stack.enter_context,
            folder.held(folder.lock_path(data_dir), _FORMER_SECONDS, partial(state.already_up, data_dir)),
        )
        if fresh:
            await asyncio.to_thread(folder.wipe, data_dir)
        served = None if models else tuple(settings.models.split(","))
        models = models or shipped("triton_models")
        starter = Starter(settings, data_dir, hold, models, served, weights, report, kafka_nodes, of_node)
        try:
            await starter.start_all()
            parts = Parts(_running(starter), data_dir, starter.servers)
            state.write(data_dir, parts.running)
            yield parts
        finally:
            state.forget(data_dir)
            await starter.stop_all()


def _running(starter: Starter) -> Running:
    settings, data_dir = starter.settings, starter.data_dir
    images = data_dir / "images"
    if settings.images is None:
        with folder.writable(data_dir):
            images.mkdir(exist_ok=True)
    embedded = {name.partition("-")[0] for name in starter.servers}
    return Running(
        **starter.addresses,
        ledger=settings.ledger or f"sqlite:///{data_dir / 'ledger.db'}",
        images=settings.images or str(images),
        pid=os.getpid(),
        started=state.started(),
        versions={part: version for part, version in versions().items() if part in embedded},
        logs={name: str(server.child.log_path) for name, server in starter.servers.items()},
        children=_children(starter.servers),
    )


def _children(servers: Mapping[str, Server]) -> dict[str, int]:
    return {name: server.child.pid for name, server in servers.items()}


def versions() -> dict[str, str]:
    """Return the version of each embedded part that is installed."""
    found = {"kafka": kafka_jars.version()}
    for part, distribution in (("triton", "nvidia-pytriton"), ("milvus", "milvus-lite")):
        try:
            found[part] = f"{distribution} {importlib.metadata.version(distribution)}"
        except importlib.metadata.PackageNotFoundError:
            continue
    return found
