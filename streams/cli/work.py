"""``likeness worker``: run the steps."""

import asyncio
import logging
import os
import signal
from enum import StrEnum
from functools import partial
from typing import Annotated

import typer

from streams.adapters.faces import TorchExaminer
from streams.cli.wiring import addressed, open_services
from streams.core.policy import refuse_elsewhere
from streams.errors import BadInput, DependencyUnavailable
from streams.runtime.patience import Patience
from streams.runtime.roles import JUDGE, ROLES, Role
from streams.runtime.supervisor import Supervisor
from streams.runtime.worker import work
from streams.settings import Settings

log = logging.getLogger(__name__)


class RoleName(StrEnum):
    """What ``--role`` takes."""

    GENERATE = "generate"
    JUDGE = "judge"
    ALL = "all"


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(worker)


def worker(
    role: Annotated[RoleName, typer.Option(help="Which hop of the road to work on.")] = RoleName.ALL,
    workers: Annotated[int, typer.Option(min=1, help="Processes a role.")] = 1,
    unsupervised: Annotated[
        bool, typer.Option(help="Work in this very process and end with it; for systems that restart by themselves.")
    ] = False,
) -> None:
    """Run workers until they are told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    settings = Settings()
    if not unsupervised:
        asyncio.run(_supervise(settings, role, workers))
    elif role is RoleName.ALL:
        raise typer.BadParameter("one process has one role: choose generate or judge, or leave --unsupervised out")
    else:
        asyncio.run(_work(settings, ROLES[role]))


async def _work(settings: Settings, role: Role) -> None:
    """Load what the role needs, wait for what it needs from others, and work."""
    patience = Patience()
    examiner = TorchExaminer(settings, report=log.info)
    if role is JUDGE:
        await examiner.open()
    settings = await patience(partial(_addressed, settings))
    async with open_services(settings, examiner, patiently=patience) as services:
        domain = await patience(services.gallery.domain)
        refuse_elsewhere(services.policy, embedding_space=services.examiner.space.fingerprint, domain=domain)
        await work(settings, services, role, patience)


async def _addressed(settings: Settings) -> Settings:
    """Return the settings with every address; parts that are not up yet are waited for like any that is down."""
    try:
        return addressed(settings)
    except BadInput as error:
        raise DependencyUnavailable("parts", str(error)) from error


async def _supervise(settings: Settings, role: RoleName, workers: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    await supervisor(settings, [role] if role is not RoleName.ALL else list(ROLES), workers).run(stopping)


def supervisor(settings: Settings, roles: list[str], workers: int) -> Supervisor:
    """Return a supervisor of workers that have exactly these settings."""
    return Supervisor(roles, workers=workers, env=worker_env(settings), log_dir=settings.data_dir / "logs")


def worker_env(settings: Settings) -> dict[str, str]:
    """Return the environment that gives a child process these settings."""
    values = settings.model_dump(mode="json", exclude_none=True)
    token = settings.milvus_token.get_secret_value()
    own = {f"LIKENESS_{name.upper()}": str(value) for name, value in values.items() if name != "milvus_token"}
    return {**os.environ, **own, "LIKENESS_MILVUS_TOKEN": token, "PYTHONUNBUFFERED": "1"}
