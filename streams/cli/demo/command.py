"""``likeness demo``: the whole road on this machine, with one command."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.terminal.output import Json, console, emit
from streams.settings import read_settings

#: Exit status when the audit does not balance, or something was not judged in the end.
UNBALANCED_STATUS = 1


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Run")(demo)


def demo(
    requests: Annotated[int, typer.Option(min=20, help="Samples to ask for.")] = 300,
    identities: Annotated[int, typer.Option(min=2, help="Synthetic identities to enrol.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Processes of each role: generate, judge.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Where the HTML report goes.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Watch the whole road run on this machine, and read the report.

    Starts everything, enrols people who do not exist, asks for samples that drift away from them, shows what the judge
    says, counts every sample and ends everything. The first run fetches some hundred megabytes. Exit status 1 where
    the count does not balance.
    """
    began = time.monotonic()
    from streams.cli.demo.run import Plan, run
    from streams.cli.demo.show import as_dict, show
    from streams.cli.terminal.interruption import Interrupted, interruptible

    base = read_settings()
    settings = base.model_copy(
        update={"data_dir": base.data_dir / "demo", "policy": "synthetic", "session_timeout_seconds": 10.0}
    )
    path = (report or settings.data_dir / "report.html").absolute()
    try:
        shown = asyncio.run(interruptible(run(Plan(settings, requests, identities, workers, path))))
    except Interrupted as signal:
        console.print("interrupted: everything that was started has ended")
        raise typer.Exit(signal.status) from None
    first = None if shown.followed.first_at is None else round(shown.followed.first_at - began, 1)
    if as_json:
        emit(as_dict(shown, first))
    else:
        show(shown, first)
    if not (shown.balance.sound and shown.balance.settled):
        raise typer.Exit(UNBALANCED_STATUS)
