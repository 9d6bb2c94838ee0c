"""What the numbers were measured on: without it they mean nothing."""

import importlib.metadata
import os
import platform
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import psutil

from streams.embedded import parts

_LIBRARIES = (
    *("torch", "onnxruntime", "openvino", "facenet-pytorch", "numpy", "pillow"),
    *("faust-streaming", "aiokafka", "pymilvus", "sqlalchemy"),
)


class Others:
    """How many cores other programs kept busy since this was made: they, not the road, make a slow round."""

    def __init__(self) -> None:
        """Begin."""
        self._began = time.monotonic(), _busy(), _own()

    def cores(self) -> float:
        """Return the mean number of cores; processes of ours that ended meanwhile are counted among the others."""
        at, busy, _ = self._began
        return max(0.0, (_busy() - busy - self.own_seconds()) / (time.monotonic() - at))

    def own_seconds(self) -> float:
        """Return the processor seconds of this process and of everything below it, on all cores together."""
        return _own() - self._began[2]


def _busy() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0) - getattr(times, "guest", 0.0))


def _own() -> float:
    spent = time.process_time()  # finer than what is known of others
    for process in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            times = process.cpu_times()
            spent += times.user + times.system
    return spent


def machine() -> dict[str, Any]:
    """Return cores, processor, memory, load and versions."""
    return {
        "system": platform.platform(),
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "load_before": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": _versions() | parts.versions(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _LIBRARIES:
        with suppress(importlib.metadata.PackageNotFoundError):  # some engines may be left out
            found[name] = importlib.metadata.version(name)
    return found


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()
