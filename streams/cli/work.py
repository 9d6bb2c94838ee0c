"""``likeness worker``: the command, and what each role is composed of."""

import asyncio
import gc
import logging
import signal
from contextlib import suppress
from datetime import UTC, datetime
from enum import StrEnum
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.wiring.workers import AUTO, counted, supervisor
from streams.errors import BadInput
from streams.settings import Part, Settings, read_settings

if TYPE_CHECKING:
    from streams.runtime.metrics import Metrics

log = logging.getLogger(__name__)

#: Seconds between two looks whether the embedded parts are up.
_LOOK_SECONDS = 0.2


class RoleName(StrEnum):
    """What ``--role`` takes."""

    GENERATE = "generate"
    JUDGE = "judge"
    RECONCILE = "reconcile"
    MONITOR = "monitor"
    ALL = "all"


#: What can be down for a role, beside what it needs before it begins.
DEPENDENCIES = {
    RoleName.GENERATE: ("kafka", "ledger", "milvus", "triton", "images"),
    RoleName.JUDGE: ("kafka", "ledger", "milvus", "images", "examiner"),
    RoleName.RECONCILE: ("kafka", "ledger"),
    RoleName.MONITOR: ("kafka", "ledger", "milvus"),
}


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Run")(worker)


def _number_of_workers(text: str) -> int:
    """Take a number, or ``auto``, which is 0 until the supervisor counts cores."""
    if str(text) == "auto":
        return AUTO
    if str(text).isdecimal() and int(text) > 0:
        return int(text)
    raise typer.BadParameter(f"expected a number from 1 on, or auto; got {text!r}")


def worker(
    role: Annotated[
        RoleName,
        typer.Option(help="Which hop of the road to work on, to drive again what was lost, or to watch for drift."),
    ] = RoleName.ALL,
    workers: Annotated[
        int,
        typer.Option(
            parser=_number_of_workers,
            metavar="N|auto",
            help="Processes a role. auto: one a core, at most as many as topics have partitions, and as many threads as"
            " then keep all cores busy.",
        ),
    ] = 1,
    unsupervised: Annotated[
        bool,
        typer.Option(
            "--unsupervised", help="Work in this very process and end with it; for systems that restart by themselves."
        ),
    ] = False,
) -> None:
    """Run workers: they generate, judge what was made, drive again what was lost, and watch for drift.

    They run until Ctrl-C or SIGTERM, wait for parts that are down, and are started again when they end. Their logs are
    in LIKENESS_DATA_DIR/logs, and LIKENESS_METRICS=host:port serves the metrics of them all to Prometheus.
    """
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s", force=True)
    settings = read_settings()
    if not unsupervised:
        asyncio.run(_supervise(settings, role, workers))
    elif role is RoleName.ALL:
        raise typer.BadParameter("one process has one role: choose one, or leave --unsupervised out")
    else:
        from streams.runtime.logs import quiet_libraries, quieten
        from streams.runtime.metrics import metered

        quieten(logging.getLogger())
        quiet_libraries()
        run = {RoleName.RECONCILE: _reconcile, RoleName.MONITOR: _monitor}.get(role, _work)
        with metered(settings, role, DEPENDENCIES[role]) as metrics:
            asyncio.run(run(settings, role, metrics))


async def _work(settings: Settings, name: RoleName, metrics: "Metrics") -> None:
    """Load what the role needs, wait for what it needs from others, and work."""
    from streams.adapters.faces.examiner import FaceExaminer
    from streams.cli.wiring.policies import load_policy
    from streams.cli.wiring.services import open_services
    from streams.core.policy import refuse_elsewhere
    from streams.runtime.patience import Patience
    from streams.runtime.roles import JUDGE, ROLES
    from streams.runtime.worker import work
    from streams.tools import second
    from streams.tools.originals import lacking

    load_policy(settings.policy)  # refused before anything is loaded or waited for
    role, patience = ROLES[name], Patience(metrics=metrics)
    examiner = FaceExaminer(settings, report=log.info)
    try:
        if role is JUDGE:
            await examiner.open()
        settings = await _addressed(settings)
        async with open_services(settings, examiner, patiently=patience) as services:
            domain = await patience(services.gallery.domain)
            refuse_elsewhere(services.policy, embedding_space=services.examiner.space.fingerprint, domain=domain)
            if role is JUDGE and (unseen := await patience(partial(lacking, services))):
                log.warning(
                    "%d enrolled photographs are not registered by %s: no copy of them is recognised until `likeness"
                    " index-references` has run",
                    unseen,
                    services.imprinter.descriptor.fingerprint,
                )
            if role is JUDGE and (unknown := await patience(partial(second.lacking, services))):
                log.warning(
                    "%d people are not enrolled for the second verifier with all their references: no sample of them is"
                    " accepted by a policy that requires it until `likeness index-second` has run",
                    unknown,
                )
            # What is loaded by now stays as long as the process. To collect garbage is to look at every object, and at
            # these alone it takes a tenth of a second, in which the event loop stands still.
            gc.collect()
            gc.freeze()
            await work(settings, services, role, patience, metrics)
    finally:
        await examiner.close()


async def _reconcile(settings: Settings, _: RoleName, metrics: "Metrics") -> None:
    """Needs Kafka and the ledger alone. A signal ends it wherever it is: it leaves nothing that must be finished."""
    from streams.adapters.ledger.consent import SqlConsentRegister
    from streams.adapters.ledger.samples import SqlLedger
    from streams.cli.wiring.database import opened_database
    from streams.runtime.patience import Patience
    from streams.runtime.reconciler import Reconciler

    async def run() -> None:
        addressed, patience = await _addressed(settings, "kafka", "ledger"), Patience(metrics=metrics)
        async with opened_database(addressed, patiently=patience) as database:
            ledger, consent = SqlLedger(database), SqlConsentRegister(database)
            await Reconciler(addressed, ledger, partial(datetime.now, UTC), metrics, consent).run(patience)

    working = asyncio.create_task(run())
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, working.cancel)
    with suppress(asyncio.CancelledError):
        await working


async def _monitor(settings: Settings, _: RoleName, metrics: "Metrics") -> None:
    """Needs Kafka, the ledger and Milvus: it looks at no image."""
    from streams.adapters.faces.examiner import FaceExaminer
    from streams.cli.wiring.services import open_monitoring
    from streams.runtime.patience import Patience
    from streams.runtime.roles import MONITOR
    from streams.runtime.worker import work

    patience = Patience(metrics=metrics)
    addressed = await _addressed(settings, "kafka", "ledger", "milvus")
    space = FaceExaminer(addressed, report=log.info).space
    async with open_monitoring(addressed, space, patiently=patience) as services:
        await work(addressed, services, MONITOR, patience, metrics)


async def _addressed(settings: Settings, *parts: Part) -> Settings:
    """Return the settings with the address of each of these parts, of all where none is named; wait for embedded parts.

    Looking costs nothing, so it is done often: a growing pause would only put off the first batch.
    """
    from streams.cli.wiring.addresses import addressed

    told = False
    while True:
        try:
            return addressed(settings, *parts)
        except BadInput as error:
            if not told:
                log.warning("%s; waiting for it", error)
            told = True
        await asyncio.sleep(_LOOK_SECONDS)


async def _supervise(settings: Settings, role: RoleName, workers: int) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    roles = [one for one in RoleName if one is not RoleName.ALL] if role is RoleName.ALL else [role]
    settings, workers = counted(settings, workers)
    await supervisor(settings, [one.value for one in roles], workers).run(stopping)
