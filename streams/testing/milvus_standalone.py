"""A real Milvus standalone server, from the package ``milvus`` 2.3.5, for tests that need more than Milvus Lite.

It listens on every interface, whatever its configuration says, so it runs in a network of its own.
"""

import importlib.util
import json
import lzma
import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.embedded import folder
from streams.embedded.loopback import HOST, free_ports
from streams.errors import Unready
from streams.processes.child import Child

VERSION = "2.3.5"

REMEDY = "see its log; where the system allows no network of one's own, use a Milvus that runs elsewhere"

#: The user that a server with authentication starts with, as ``user:password``.
ROOT_TOKEN = "root:Milvus"  # noqa: S105 - published by its makers

#: Ports inside the server's own network, where all are free.
_PORT, _ETCD_PORT, _ETCD_PEER_PORT = 19_530, 2_379, 2_380

_UNPACK_SECONDS = 120


@dataclass(frozen=True)
class Plan:
    """One server that is about to start."""

    data: Path
    binaries: Path
    port: int

    @property
    def uri(self) -> str:
        """Where clients find it."""
        return f"http://{HOST}:{self.port}"


def is_installed() -> bool:
    """Whether the package is there."""
    return importlib.util.find_spec("milvus") is not None


def prepare(data_dir: Path, cache_dir: Path, *, authentication: bool = False) -> Plan:
    """Unpack the binaries into the cache, once (some seconds, 250 MB), and write the configuration; blocks."""
    (port,) = free_ports(1)
    plan = Plan(data_dir.absolute(), cache_dir.absolute() / "milvus-standalone" / VERSION, port)
    _unpack(plan.binaries)
    configuration = plan.data / "configs"
    with folder.writable(configuration):
        configuration.mkdir(parents=True, exist_ok=True)
        # JSON is YAML.
        (configuration / "milvus.yaml").write_text(json.dumps(_settings(plan, authentication)))
        (configuration / "etcd.yaml").write_text(json.dumps(_etcd_settings(plan)))
        shutil.copy(_package() / "glog.conf", configuration)
    return plan


def start(plan: Plan, log_path: Path) -> Child:
    """Start the server. It is killed at the end, not asked: its own way takes longer than a test may."""
    confined = [sys.executable, "-I", "-S", str(Path(__file__).with_name("confined.py"))]
    command = [str(plan.binaries / "milvus"), "run", "standalone"]
    environment = {
        **os.environ,
        "DEPLOY_MODE": "STANDALONE",
        "LD_LIBRARY_PATH": str(plan.binaries),
        "MILVUSCONF": str(plan.data / "configs"),
        "MILVUS_RUN_DIR": str(plan.data / "run"),
    }
    return Child.start("Milvus standalone", [*confined, str(plan.port), str(_PORT), *command], environment, log_path)


def _settings(plan: Plan, authentication: bool) -> Mapping[str, Any]:
    components = ("rootCoord", "proxy", "queryCoord", "queryNode", "indexNode", "dataCoord", "dataNode")
    return {
        # What each component tells the others; without it they look for an interface that is not there.
        **{name: {"ip": HOST, "port": _PORT + index} for index, name in enumerate(components)},
        "proxy": {
            "ip": HOST,
            "port": _PORT,
            "internalPort": _PORT - 1,
            "http": {"enabled": False},
            "timeTickInterval": 50,  # milliseconds: every strongly consistent read waits for the next one
        },
        "rootCoord": {"ip": HOST, "port": _PORT + len(components)},
        "etcd": {
            "endpoints": f"{HOST}:{_ETCD_PORT}",
            "use": {"embed": True},
            "config": {"path": str(plan.data / "configs" / "etcd.yaml")},
            "data": {"dir": str(plan.data / "etcd")},
        },
        "mq": {"type": "rocksmq"},
        "rocksmq": {"path": str(plan.data / "rocksmq")},
        "localStorage": {"path": str(plan.data / "storage")},
        "common": {
            "storageType": "local",
            "security": {"authorizationEnabled": authentication},
            # Seconds for which a server that was killed still counts as there; its successor waits for that.
            "session": {"ttl": 10},
        },
        "log": {"level": "warn", "file": {"rootPath": ""}},
    }


def _etcd_settings(plan: Plan) -> Mapping[str, Any]:
    peer, client = f"http://{HOST}:{_ETCD_PEER_PORT}", f"http://{HOST}:{_ETCD_PORT}"
    return {
        "name": "default",
        "data-dir": str(plan.data / "etcd"),
        "listen-peer-urls": peer,
        "initial-advertise-peer-urls": peer,
        "initial-cluster": f"default={peer}",
        "listen-client-urls": client,
        "advertise-client-urls": client,
        "log-level": "warn",
    }


def _unpack(binaries: Path) -> None:
    with folder.writable(binaries):
        binaries.mkdir(parents=True, exist_ok=True)
        with folder.held(binaries / "unpack.lock", _UNPACK_SECONDS):
            for packed in sorted((_package() / "bin").glob("*.lzma")):
                target = binaries / packed.stem
                if target.exists():
                    continue
                part = target.with_name(
                    target.name + ".part"
                )  # under the lock: what a killed process left is written over
                with lzma.open(packed) as source, part.open("wb") as sink:
                    shutil.copyfileobj(source, sink)
                part.chmod(0o755)
                part.replace(target)


def _package() -> Path:
    found = importlib.util.find_spec("milvus")
    if found is None or found.origin is None:
        raise Unready(f"the package milvus is not installed: `pip install milvus=={VERSION}`")
    return Path(found.origin).parent / "data"
