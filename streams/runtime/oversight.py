"""One endpoint for all workers of a supervisor: what they leave in their folders, summed up, and how they fare."""

import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge
from prometheus_client.core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector

from streams.errors import BadInput
from streams.exposition import served
from streams.runtime.measures import LEVELS
from streams.runtime.metrics import SHARED_FOLDER, Oversight
from streams.runtime.prometheus import SHARED_NAME

#: Bytes of one file of metrics: several times what they need. They are allocated beforehand, because a worker that
#: writes to a file that a full disk cannot hold is killed on the spot.
_FILE_BYTES = 1 << 20

_LIVE = sorted({f"gauge_{one.summed}" for one in LEVELS.values() if one.summed.startswith("live")})
_KINDS = ("counter", "histogram", "gauge_max", *_LIVE)


class PrometheusOversight(Oversight, Collector):
    """Serves the metrics of a supervisor and of its workers, of which each has a folder."""

    def __init__(self, address: str, folder: Path) -> None:
        """Take ``host:port``, and the folder in which this address has a folder of its own."""
        self._address, self._folder = address, folder / address.rpartition(":")[2]
        self._own = CollectorRegistry()
        self._workers = Gauge("likeness_workers", "Worker processes that run.", ("role",), registry=self._own)
        self._restarts = Counter(
            "likeness_worker_restarts", "Worker processes that ended unasked.", ("role",), registry=self._own
        )
        self.address = ""
        """Where it is served, while it is."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Serve. Whoever listens at the address owns its folder, so that is emptied only then.

        Raises:
            BadInput: If this machine cannot listen there, or the folder cannot be written.
        """
        with served(self._address, self) as self.address:
            try:
                shutil.rmtree(self._folder, ignore_errors=True)
                self._folder.mkdir(parents=True)
            except OSError as error:
                raise _unwritable(error) from error
            yield

    def environment(self, role: str, slot: str) -> Mapping[str, str]:
        """Make the worker's folder, unless it has one from before it was started again; name it to the worker."""
        self._restarts.labels(role)
        folder = self._folder / slot
        try:
            folder.mkdir(parents=True, exist_ok=True)
            for kind in _KINDS:
                with (folder / f"{kind}_{SHARED_NAME}.db").open("ab") as file:
                    os.posix_fallocate(file.fileno(), 0, _FILE_BYTES)
        except OSError as error:
            raise _unwritable(error) from error
        return {SHARED_FOLDER: str(folder)}

    def started(self, role: str) -> None:
        """Count a worker that runs."""
        self._workers.labels(role).inc()

    def ended(self, role: str, slot: str) -> None:
        """Count a worker that ended, and forget what is true of living ones alone."""
        self._workers.labels(role).dec()
        self._restarts.labels(role).inc()
        for kind in _LIVE:
            path = self._folder / slot / f"{kind}_{SHARED_NAME}.db"
            with suppress(FileNotFoundError), path.open("r+b") as file:
                file.write(bytes(8))  # its first bytes say how much of it is used

    def collect(self) -> Iterator[Metric]:
        """Yield the supervisor's metrics, and the sums of its workers'."""
        yield from self._own.collect()
        files = [str(path) for path in self._folder.glob("*/*.db")]
        yield from MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]


def _unwritable(error: OSError) -> BadInput:
    return BadInput(f"metrics need a folder in LIKENESS_DATA_DIR with some free megabytes: {error}")
