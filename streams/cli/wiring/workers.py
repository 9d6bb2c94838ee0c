"""Workers as processes: how many, with which environment, under which supervisor."""

import logging
import os
import sys
from typing import TYPE_CHECKING

from pydantic import SecretStr

from streams import topics
from streams.processes import cores
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.runtime.supervisor import Supervisor

log = logging.getLogger(__name__)

#: As the number of workers: as many as there are cores.
AUTO = 0


def counted(settings: Settings, workers: int) -> tuple[Settings, int]:
    """Return the number of workers that is meant; where that is for us to say, with threads for all cores."""
    if workers != AUTO:
        return settings, workers
    usable = cores.usable()
    workers = min(usable, topics.PARTITIONS)  # more would find nothing to read
    return settings.model_copy(update={"threads": usable // workers}), workers


def supervisor(settings: Settings, roles: list[str], workers: int) -> "Supervisor":
    """Return a supervisor of workers that have exactly these settings, but for the threads of judges with own cores.

    Raises:
        BadInput: If their logs cannot be written.
    """
    from streams.embedded import folder
    from streams.runtime.metrics import overseen
    from streams.runtime.roles import JUDGE
    from streams.runtime.supervisor import Supervisor

    log_dir = settings.data_dir / "logs"
    with folder.writable(log_dir):
        log_dir.mkdir(parents=True, exist_ok=True)
    own = cores.own() if settings.pin else []
    if settings.pin and not own:
        log.warning("LIKENESS_PIN: no cores of our own here, such as a container's cpuset; judges run anywhere")
    return Supervisor(
        roles,
        workers=workers,
        env=worker_env(settings),
        log_dir=log_dir,
        command=worker_command,
        oversight=overseen(settings),
        cores={JUDGE.name: cores.shares(own, workers)} if own else {},
    )


def worker_command(role: str) -> list[str]:
    """Return the command of one worker process, without a supervisor of its own."""
    return [sys.executable, "-m", "streams.cli.main", "worker", "--role", role, "--unsupervised"]


def worker_env(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a child process these settings."""
    values = settings.model_dump(mode="json", exclude_none=True)
    values |= {name: value.get_secret_value() for name, value in settings if isinstance(value, SecretStr)}
    own = {f"LIKENESS_{name.upper()}": str(value) for name, value in values.items()}
    return {**os.environ, **own, "PYTHONUNBUFFERED": "1"}
