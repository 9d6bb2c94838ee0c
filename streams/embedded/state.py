"""The state file: who runs the embedded parts of a data folder, and where they answer."""

import dataclasses
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import psutil

from streams.embedded import folder
from streams.errors import BadInput, PartFailed
from streams.replacing import replacing
from streams.settings import PARTS, Settings

#: Process start times of one process may be read this many seconds apart.
_SAME_START = 0.05


@dataclass(frozen=True)
class Running:
    """Parts that run, all of them ready."""

    kafka: str
    """Bootstrap servers, ``host:port[,…]``."""
    triton: str
    """gRPC address, ``host:port``."""
    milvus: str
    """URI, ``http://host:port``."""
    ledger: str
    """SQLAlchemy URL."""
    images: str
    """Folder or fsspec URL."""
    pid: int
    """The process that owns the parts."""
    started: float
    """When that process started, in seconds since the epoch: its number may be given to another one later."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """Version of each embedded part."""
    logs: Mapping[str, str] = field(default_factory=dict)
    """Log file of each embedded part; of three Kafka nodes, one each: ``kafka-1`` to ``kafka-3``."""
    children: Mapping[str, int] = field(default_factory=dict)
    """Process id of each one's leash, under the same names."""

    def fill(self, settings: Settings) -> Settings:
        """Return the settings with the addresses that are not set in them."""
        ours: dict[str, str] = {name: getattr(self, name) for name in PARTS}
        missing = {name: value for name, value in ours.items() if getattr(settings, name) is None}
        return settings.model_copy(update=missing)


def read(data_dir: Path) -> Running | None:
    """Return what runs on this data folder; None where nothing does, though a state file may be left."""
    try:
        found = json.loads(_path(data_dir).read_text())
        running = Running(**found)
    except FileNotFoundError:
        return None
    except (ValueError, TypeError, OSError):  # another version's, or not ours: as good as none
        return None
    return running if _lives(running, data_dir) else None


def write(data_dir: Path, running: Running) -> None:
    """Write the state file; a reader sees the old one or the new one, never a part of it."""
    with folder.writable(data_dir), replacing(_path(data_dir)) as part:
        part.write_text(json.dumps(dataclasses.asdict(running), indent=2) + "\n")


def forget(data_dir: Path) -> None:
    """Delete the state file."""
    _path(data_dir).unlink(missing_ok=True)


def started() -> float:
    """Return when this process started, in seconds since the epoch."""
    return psutil.Process().create_time()


def already_up(data_dir: Path) -> BadInput | None:
    """Return the error for a data folder whose parts another process runs, None where that is gone."""
    running = read(data_dir)
    if running is None:
        return None
    return BadInput(
        f"the parts on {data_dir} are run by process {running.pid} already:"
        " use them, end them with `likeness down`, or choose another folder by LIKENESS_DATA_DIR"
    )


def down(data_dir: Path, timeout: float = 60.0) -> bool:
    """Ask the owner of the parts to end, and wait until it and all its children are gone; blocks.

    Returns:
        False where nothing ran.

    Raises:
        PartFailed: Something still runs after ``timeout`` seconds.
    """
    running = read(data_dir)
    if running is None and not folder.is_held(data_dir):
        return False
    deadline = time.monotonic() + timeout
    if running is not None:
        _end(running, deadline)
    try:
        with folder.held(folder.lock_path(data_dir), max(0.0, deadline - time.monotonic())):
            forget(data_dir)
    except BadInput as error:
        raise PartFailed(
            f"a part on {data_dir} did not end within {timeout:.0f} s:"
            f" see the logs in {data_dir / 'logs'}, and end what is left by its process id"
        ) from error
    return True


def _end(running: Running, deadline: float) -> None:
    """Ask the owner to end; at half the time left, make it. Its children end with it in both cases."""
    try:
        owner = psutil.Process(running.pid)
        owner.terminate()
        try:
            owner.wait(max(0.0, (deadline - time.monotonic()) / 2))
        except psutil.TimeoutExpired:
            owner.kill()
    except psutil.NoSuchProcess:
        return
    except psutil.AccessDenied as error:
        raise BadInput(f"process {running.pid} belongs to another user: `likeness down` as that user") from error


def _lives(running: Running, data_dir: Path) -> bool:
    try:
        owner = psutil.Process(running.pid)
        if owner.status() == psutil.STATUS_ZOMBIE:
            return False
        # Start times move when the clock is set, a held lock does not; either shows that it is the same process.
        return abs(owner.create_time() - running.started) < _SAME_START or folder.is_held(data_dir)
    except psutil.NoSuchProcess:
        return False


def _path(data_dir: Path) -> Path:
    return data_dir / "running.json"
