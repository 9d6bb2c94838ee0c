"""How each embedded part is started, beside the others, with a report of every step."""

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal

from streams.embedded import kafka, kafka_jars, kafka_topics, milvus, triton
from streams.embedded.server import Server
from streams.settings import Settings

#: How long a part that somebody else runs may take to answer, in seconds.
OTHERS_SECONDS = 15.0

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

NodeProperties = Callable[[kafka.Node], Mapping[str, str]]
"""Broker properties of one Kafka node, over ours."""


@dataclass
class Starter:
    """What the parts have in common while they start."""

    settings: Settings
    data_dir: Path
    hold: int
    """A file descriptor that every child process keeps open."""
    models: Path
    served: Sequence[str] | None
    """Those of the models that are served; None: all."""
    weights: Weights
    report: Report
    kafka_nodes: int
    node_properties: NodeProperties
    servers: dict[str, Server] = field(default_factory=dict)
    """Those that were started, some of which may not answer yet."""
    addresses: dict[str, str] = field(default_factory=dict)
    cleanings: list[Callable[[], None]] = field(default_factory=list)
    cancelled: threading.Event = field(default_factory=threading.Event)
    began: float = field(default_factory=time.monotonic)

    async def start_all(self) -> None:
        """Start the parts in parallel; the first error cancels the others and is raised alone."""
        settings = self.settings
        token = settings.milvus_token.get_secret_value()
        await _all_or_first_error(
            [
                self._other("kafka", settings.kafka, kafka_topics.answers) if settings.kafka else self._kafka(),
                self._other("triton", settings.triton, triton.answers) if settings.triton else self._triton(),
                self._other("milvus", settings.milvus, partial(milvus.answers, token=token))
                if settings.milvus
                else self._milvus(),
            ]
        )

    async def stop_all(self) -> None:
        """End every part that was started, in parallel."""
        self.cancelled.set()
        await asyncio.gather(*(server.stop() for server in self.servers.values()))
        for clean in self.cleanings:
            clean()

    async def _other(self, part: str, address: str, answers: Callable[..., Coroutine[Any, Any, None]]) -> None:
        self._tell(part, "starting", f"asking {address}")
        await answers(address, timeout_seconds=OTHERS_SECONDS)
        self.addresses[part] = address
        self._tell(part, "ready", f"{address}, which somebody else runs")

    async def _kafka(self) -> None:
        kafka.java()
        nodes = kafka.plan(self.data_dir, self.kafka_nodes)
        jars = await asyncio.to_thread(
            kafka_jars.fetch, self.settings.cache_dir, partial(self._tell, "kafka", "downloading"), self.cancelled
        )
        several = f", {len(nodes)} nodes" if len(nodes) > 1 else ""
        self._tell("kafka", "starting", f"Apache Kafka {kafka_jars.version()}{several}")
        await _all_or_first_error([self._serve(self._node(node, nodes, jars)) for node in nodes])
        bootstrap = ",".join(node.address for node in nodes)
        created = await kafka_topics.create(bootstrap, brokers=len(nodes))
        self.addresses["kafka"] = bootstrap
        self._tell("kafka", "ready", f"{bootstrap}, {len(created)} topics created")

    def _node(self, node: kafka.Node, nodes: Sequence[kafka.Node], jars: Sequence[Path]) -> Server:
        name = f"kafka-{node.id}" if len(nodes) > 1 else "kafka"
        return Server(
            name,
            lambda: kafka.prepare(node, nodes, jars, self.cancelled, self.node_properties(node)),
            partial(kafka.start, node, jars, self._log(name), [self.hold]),
            partial(kafka_topics.answers, node.address),
            [node.port, node.controller_port],
            kafka.REMEDY,
            others_go_on=len(nodes) > 1,
        )

    async def _triton(self) -> None:
        plan = triton.plan(self.data_dir, self.settings.cache_dir, self.models, self.served)
        await asyncio.to_thread(self.weights, self.settings.cache_dir, partial(self._tell, "triton", "downloading"))
        self._tell("triton", "starting", f"models of {self.models}")
        self.cleanings.append(partial(triton.clean, plan))
        server = Server(
            "triton",
            partial(triton.prepare, plan),
            partial(triton.start, plan, self._log("triton"), [self.hold]),
            partial(triton.answers, plan.address),
            [plan.port],
            triton.REMEDY,
            models_of=triton.stubs,
        )
        await self._serve(server)
        self.addresses["triton"] = plan.address
        self._tell("triton", "ready", plan.address)

    async def _milvus(self) -> None:
        plan = milvus.plan(self.data_dir)
        self._tell("milvus", "starting", "Milvus Lite")
        server = Server(
            "milvus",
            lambda: None,
            partial(milvus.start, plan, self._log("milvus"), [self.hold]),
            partial(milvus.answers, plan.uri),
            [plan.port],
            milvus.REMEDY,
        )
        await self._serve(server)
        self.addresses["milvus"] = plan.uri
        self._tell("milvus", "ready", plan.uri)

    async def _serve(self, server: Server) -> None:
        self.servers[server.name] = server  # before it starts: whatever comes now, it will be ended
        await server.start()

    def _log(self, name: str) -> Path:
        return self.data_dir / "logs" / f"{name}.log"

    def _tell(self, part: str, phase: Phase, detail: str) -> None:
        self.report(Progress(part, phase, detail, time.monotonic() - self.began))


async def _all_or_first_error(starts: Sequence[Coroutine[Any, Any, None]]) -> None:
    try:
        async with asyncio.TaskGroup() as group:
            for one in starts:
                group.create_task(one)
    except BaseExceptionGroup as errors:
        first = errors.exceptions[0]
        raise first from first.__cause__
