"""Apache Kafka from Maven Central into the user's cache: pinned versions, checked by SHA-256."""

import errno
import hashlib
import shutil
import tempfile
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

from streams.embedded import folder
from streams.errors import PartFailed, Unready

#: How many jars are fetched at the same time.
_AT_ONCE = 4

#: Seconds to wait for another process that fetches into the same cache.
_OTHERS_SECONDS = 300


@dataclass(frozen=True)
class Jar:
    """One file of the broker."""

    sha256: str
    group: str
    artifact: str
    version: str

    @property
    def filename(self) -> str:
        """Name of the file in the cache."""
        return f"{self.artifact}-{self.version}.jar"


class Download(Protocol):
    """Brings one jar into a folder."""

    def __call__(self, jar: Jar, into: Path) -> Path:
        """Return the file. Raises PartFailed where it does not come."""


def pinned() -> list[Jar]:
    """Return the jars that make a broker, as the list beside this file pins them."""
    lines = Path(__file__).with_name("kafka_jars.txt").read_text().split("\n")
    return [Jar(*line.replace(":", " ").split()) for line in lines if line]


def version() -> str:
    """Return the version of Kafka that is pinned."""
    return next(jar.version for jar in pinned() if jar.artifact == "kafka_2.13")


def missing(cache_dir: Path) -> int:
    """Return how many jars must still be fetched."""
    return sum(not (_home(cache_dir) / jar.filename).exists() for jar in pinned())


def fetch(
    cache_dir: Path,
    report: Callable[[str], None],
    cancelled: threading.Event,
    *,
    download: Download | None = None,
) -> list[Path]:
    """Return the jars, fetching what is missing or altered; blocks.

    Args:
        cache_dir: The user's cache; several processes may share it.
        report: Told how far it is, in words.
        cancelled: Set by another thread to give up between two files.
        download: What brings one jar into a folder; Maven Central where None.

    Raises:
        PartFailed: There is no network, or what came is not what is pinned.
        BadInput: The cache cannot be written.
    """
    home = _home(cache_dir)
    with folder.writable(home):
        home.mkdir(parents=True, exist_ok=True)
    with folder.held(home / "fetch.lock", _OTHERS_SECONDS):
        absent = [jar for jar in pinned() if not _is_intact(home / jar.filename, jar)]
        if absent:
            with folder.writable(home), tempfile.TemporaryDirectory(dir=home) as scratch:
                _fetch_all(absent, home, partial(download or from_maven_central, into=Path(scratch)), report, cancelled)
    return [home / jar.filename for jar in pinned()]


def _fetch_all(
    jars: list[Jar],
    home: Path,
    download: Callable[[Jar], Path],
    report: Callable[[str], None],
    cancelled: threading.Event,
) -> None:
    done = 0

    def fetch_one(jar: Jar) -> None:
        nonlocal done
        if cancelled.is_set():
            raise PartFailed("fetching Kafka was cancelled")
        got = download(jar)
        if not _is_intact(got, jar):
            raise PartFailed(
                f"expected {jar.filename} with SHA-256 {jar.sha256}, got {_sha256(got)}:"
                " the file was altered on its way; try another network"
            )
        shutil.move(got, home / jar.filename)
        done += 1
        report(f"Apache Kafka {version()}: {done} of {len(jars)} files")

    with ThreadPoolExecutor(_AT_ONCE) as pool:
        futures = [pool.submit(fetch_one, jar) for jar in jars]
        try:
            for future in futures:
                future.result()
        except BaseException:
            pool.shutdown(wait=True, cancel_futures=True)
            raise


def from_maven_central(jar: Jar, into: Path) -> Path:
    """Download one jar by jgo's resolver, which is pure Python and knows where Maven Central is."""
    try:
        from jgo.maven import MavenContext
    except ImportError as error:
        raise Unready("jgo is not installed: `pip install 'likeness-qc[embedded]'`") from error
    try:
        project = MavenContext(repo_cache=into).project(jar.group, jar.artifact)
        return Path(project.at_version(jar.version).artifact().resolve())
    except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            raise
        raise PartFailed(
            f"Apache Kafka is fetched from Maven Central once, and {jar.filename} did not come"
            f" ({type(error).__name__}: {error}): start once with a network (a proxy by HTTPS_PROXY),"
            f" copy {into.parent} from a machine that has it, or set LIKENESS_KAFKA to a broker that runs"
        ) from error


def _is_intact(path: Path, jar: Jar) -> bool:
    return path.is_file() and _sha256(path) == jar.sha256


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _home(cache_dir: Path) -> Path:
    return cache_dir / "kafka" / version()
