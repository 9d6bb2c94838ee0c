"""Milvus Lite as a child process: one server that owns the vectors of a data folder."""

import asyncio
import contextlib
import importlib.util
import os
import signal
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from grpc import RpcError
from pymilvus import MilvusClient
from pymilvus.exceptions import MilvusException

from streams.embedded import folder
from streams.embedded.loopback import HOST, connects, free_ports
from streams.errors import DependencyUnavailable, Unready
from streams.keepalive import GRPC_OPTIONS
from streams.processes.child import Child

REMEDY = "see its log, or set LIKENESS_MILVUS to a server that runs"


@dataclass(frozen=True)
class Plan:
    """One server that is about to start."""

    data: Path
    port: int

    @property
    def uri(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self.port}"


def plan(data_dir: Path) -> Plan:
    """Choose a port."""
    (port,) = free_ports(1)
    return Plan(data_dir / "milvus", port)


def start(plan: Plan, log_path: Path, hold: Sequence[int] = ()) -> Child:
    """Start the server; it takes its folder by a lock of its own."""
    if importlib.util.find_spec("milvus_lite") is None:
        raise Unready("milvus-lite is not installed: `pip install 'likeness-qc[embedded]'`")
    with folder.writable(plan.data):
        plan.data.mkdir(parents=True, exist_ok=True)
    # -P: a file of the folder that somebody stands in must not be taken for a module.
    module = [sys.executable, "-P", "-m", "milvus_lite", "server"]
    options = ["--data-dir", str(plan.data), "--host", HOST, "--port", str(plan.port)]
    # One request after the other: two writers at once tear its log, and a kill loses what follows the tear.
    options += ["--max-workers", "1"]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    # It closes its files in order on SIGINT, and not on SIGTERM.
    return Child.start("Milvus Lite", [*module, *options], environment, log_path, stop_signal=signal.SIGINT, hold=hold)


async def answers(uri: str, token: str = "", timeout_seconds: float = 10.0) -> None:
    """Return when the server lists its collections. Raises DependencyUnavailable."""
    if uri.startswith(f"http://{HOST}:"):
        # A connection that is refused is cheap to notice, and pymilvus would try it again and again.
        await connects("milvus", uri.removeprefix("http://"), timeout_seconds)
    await asyncio.to_thread(_list_collections, uri, token, timeout_seconds)


def _list_collections(uri: str, token: str, timeout_seconds: float) -> None:
    client: MilvusClient | None = None
    try:
        client = MilvusClient(uri, token=token, timeout=timeout_seconds, grpc_options=GRPC_OPTIONS, dedicated=True)
        client.list_collections(timeout=timeout_seconds)
    except (MilvusException, RpcError, OSError, ValueError) as error:
        raise DependencyUnavailable("milvus", f"{uri}: {error}") from error
    finally:
        if client is not None:
            with contextlib.suppress(MilvusException):
                client.close()
