"""One plain Kafka node for tests: a container where a Docker engine runs, else a child process."""

import asyncio
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import MappingProxyType

from streams.embedded import kafka, kafka_jars, kafka_topics
from streams.embedded.loopback import until_it_answers
from streams.errors import DependencyUnavailable, PartFailed, Unready
from streams.settings import Settings
from tests.absent import absent
from tests.docker import engine_runs

_START_SECONDS = 180.0


@contextmanager
def plain_kafka(folder: Path, others: Mapping[str, str] = MappingProxyType({})) -> Iterator[str]:
    """Run one node, with ``others`` over our properties, and yield its address. Not even our topics are on it."""
    (node,) = kafka.plan(folder)
    with _in_container(node, others) if engine_runs() else _as_child(node, others, folder / "kafka.log"):
        yield node.address


@contextmanager
def _in_container(node: kafka.Node, others: Mapping[str, str]) -> Iterator[None]:
    from testcontainers.core.container import DockerContainer

    # Inside, it must listen to more than loopback; the engine opens the port on this machine's loopback alone.
    inside = {
        "listeners": f"PLAINTEXT://:{node.port},CONTROLLER://:{node.controller_port}",
        "log.dirs": "/tmp/likeness",  # noqa: S108 - the container's own
    }
    container = DockerContainer(f"apache/kafka:{kafka_jars.version()}")
    container.ports[str(node.port)] = ("127.0.0.1", node.port)  # type: ignore[assignment]  # as docker takes it
    for line in kafka.properties(node, [node], {**inside, **others}).splitlines():
        key, _, value = line.partition("=")
        container.with_env(f"KAFKA_{key.upper().replace('.', '_')}", value)
    with container:
        deadline = time.monotonic() + _START_SECONDS
        while not _answers(node.address):
            if time.monotonic() > deadline:
                raise AssertionError(f"Kafka's container does not answer at {node.address}: {container.get_logs()}")
            time.sleep(0.2)
        yield


@contextmanager
def _as_child(node: kafka.Node, others: Mapping[str, str], log_path: Path) -> Iterator[None]:
    try:
        jars = kafka_jars.fetch(Settings().cache_dir, print, threading.Event())
        kafka.prepare(node, [node], jars, threading.Event(), others)
    except (PartFailed, Unready) as error:
        absent(str(error))
    child = kafka.start(node, jars, log_path)
    try:
        answers = partial(kafka_topics.answers, node.address)
        ports = [node.port, node.controller_port]
        asyncio.run(until_it_answers(child, answers, ports, kafka.REMEDY, _START_SECONDS))
        yield
    finally:
        child.stop()


def _answers(address: str) -> bool:
    try:
        asyncio.run(kafka_topics.answers(address))
    except DependencyUnavailable:
        return False
    return True
