"""``likeness audit``: does the balance close?"""

import asyncio
import time
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from streams.cli.terminal.output import Json, console, emit, page, say
from streams.errors import DependencyUnavailable
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.tools.audit.balance import Balance
    from streams.tools.audit.metrics import AuditMetrics

#: Exit status when the balance does not close.
UNBALANCED_STATUS = 1
#: Seconds that the road may take for what the reconciler has driven again, until it counts as overdue.
OVERDUE_MARGIN = 300.0


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Look closer")(audit)


def audit(
    overdue: Annotated[
        float | None,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="A sample in flight for longer is unaccounted for."
            f"  [default: LIKENESS_RECONCILE_AFTER_SECONDS and {OVERDUE_MARGIN:g} more]",
        ),
    ] = None,
    prometheus: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write the counts for the textfile collector of Prometheus' node exporter."),
    ] = None,
    every: Annotated[
        float | None, typer.Option(min=1, metavar="SECONDS", help="Count again and again, with pauses, until Ctrl-C.")
    ] = None,
    listen: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="With --every: serve the counts to Prometheus there.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Count every sample, and say whether any is lost or judged twice.

    requested = accepted + flagged + dead + in flight, in the ledger and on the topics, in all and for every hour in
    which samples were registered. Exit status 1 where a sample is unaccounted for.
    """
    from streams.cli.wiring.addresses import addressed, answering

    if listen is not None and every is None:
        raise typer.BadParameter("who listens must go on: say --every SECONDS as well")
    settings = addressed(read_settings(), "kafka", "ledger")
    limit = settings.reconcile_after_seconds + OVERDUE_MARGIN if overdue is None else overdue
    if every is not None:
        _go_on(settings, limit, every, prometheus, listen, as_json=as_json)
        return
    asyncio.run(answering(settings, "kafka"))
    balance = asyncio.run(_count(settings, limit, prometheus))
    if as_json:
        emit(balance.as_dict())
    else:
        _show(balance)
    if not balance.sound:
        raise typer.Exit(UNBALANCED_STATUS)


async def _count(
    settings: Settings, limit: float, path: Path | None, metrics: "AuditMetrics | None" = None
) -> "Balance":
    """Audit once; leave what was counted with the metrics, and in the file where one is wanted."""
    from streams.tools.audit.count import audit as weigh
    from streams.tools.audit.metrics import AuditMetrics, write

    began = time.monotonic()
    balance = await weigh(
        settings.address("kafka"), settings.address("ledger"), group=settings.group, overdue_seconds=limit
    )
    metrics = metrics or AuditMetrics()
    metrics.completed(balance, at=time.time(), seconds=time.monotonic() - began)
    if path is not None:
        write(metrics, path)
    return balance


def _show(balance: "Balance") -> None:
    from streams.tools.audit.tables import render, render_hours

    page.print(render(balance))
    if balance.hours:
        page.print(render_hours(balance.hours))


def _go_on(
    settings: Settings, limit: float, every: float, path: Path | None, listen: str | None, *, as_json: bool
) -> None:
    """Audit until a signal comes. What does not answer is told, counted, and asked again the next time."""
    from streams.cli.terminal.interruption import Interrupted, interruptible
    from streams.exposition import served
    from streams.tools.audit.metrics import AuditMetrics

    metrics = AuditMetrics()

    async def run() -> NoReturn:
        while True:
            try:
                balance = await _count(settings, limit, path, metrics)
            except DependencyUnavailable as error:
                metrics.failed()
                console.print(str(error), highlight=False, markup=False, soft_wrap=True)
            else:
                _say(balance, as_json=as_json)
            await asyncio.sleep(every)

    with ExitStack() as stack:
        if listen is not None:
            address = stack.enter_context(served(listen, metrics))
            console.print(f"serving metrics at http://{address}/metrics", highlight=False, soft_wrap=True)
        with suppress(Interrupted):  # the way in which it is meant to end
            asyncio.run(interruptible(run(), says=None))


def _say(balance: "Balance", *, as_json: bool) -> None:
    """Tell one audit of many in one line."""
    if as_json:
        emit(balance.as_dict())
        return
    ends = f"{balance.accepted} accepted + {balance.flagged} flagged + {balance.dead} dead"
    sum_ = f"{balance.requested} requested = {ends} + {balance.in_flight} in flight"
    say(f"{datetime.now(UTC):%Y-%m-%d %H:%M:%SZ} {sum_}; {balance.unaccounted} unaccounted")
