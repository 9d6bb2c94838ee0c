"""Does a Docker engine run here? Where one does, tests take their servers from it; else they start native ones."""

import functools
import subprocess


@functools.cache
def engine_runs() -> bool:
    """Ask the engine, not the client: that may be installed without one."""
    try:
        asked = subprocess.run(["docker", "info"], capture_output=True, timeout=10, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return False
    return asked.returncode == 0


def servers() -> str:
    """Say where tests take their servers from."""
    return "containers (a Docker engine runs)" if engine_runs() else "child processes (no Docker engine runs)"
