"""``likeness demo``: the whole road on this machine, with one command."""

import asyncio
import time
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.terminal.output import Json, console, emit
from streams.settings import Settings, read_settings
from streams.tools.demo_requests import FAMILIES

#: Exit status when the audit does not balance, or something was not judged in the end.
UNBALANCED_STATUS = 1


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Run")(demo)


def demo(
    requests: Annotated[int, typer.Option(min=20, help="Samples to ask for.")] = 300,
    identities: Annotated[int, typer.Option(min=2, help="Synthetic identities to enrol.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Processes of each role: generate, judge.")] = 1,
    quick: Annotated[
        bool, typer.Option("--quick", help="Leave out the trained families and the training run: half the time.")
    ] = False,
    report: Annotated[Path | None, typer.Option(help="Where the HTML report goes.", show_default=False)] = None,
    as_json: Json = False,
) -> None:
    """Watch the whole road run on this machine, and read the report.

    Starts everything, enrols people who do not exist, asks for samples that drift away from them and for some of every
    trained family, has a training run break on purpose until it is told to stop, shows what the judge and the monitor
    say, counts every sample and ends everything. The first run fetches some hundred megabytes. Exit status 1 where the
    count does not balance.
    """
    began = time.monotonic()
    from streams.cli.demo.run import Plan, run
    from streams.cli.demo.show import as_dict, show
    from streams.cli.terminal.interruption import Interrupted, interruptible

    settings = _settings(read_settings(), quick=quick)
    path = (report or settings.data_dir / "report.html").absolute()
    try:
        outcome = asyncio.run(interruptible(run(Plan(settings, requests, identities, workers, path, quick))))
    except Interrupted as signal:
        console.print("interrupted: everything that was started has ended")
        raise typer.Exit(signal.status) from None
    first = None if outcome.followed.first_at is None else round(outcome.followed.first_at - began, 1)
    if as_json:
        emit(as_dict(outcome, path, first))
    else:
        show(outcome, path, first)
    if not (outcome.balance.sound and outcome.balance.settled):
        raise typer.Exit(UNBALANCED_STATUS)


def _settings(base: Settings, *, quick: bool) -> Settings:
    """Return the settings of a demonstration: a data folder of its own, and a monitor that one short run is enough for.

    One training run is charted, for some twenty steps: the limit is for one chart and a false alarm in a hundred.
    """
    models = base.models.split(",")
    return base.model_copy(
        update={
            "data_dir": base.data_dir / "demo",
            "policy": "synthetic",
            "session_timeout_seconds": 10.0,
            "models": ",".join(models if quick else dict.fromkeys([*models, *FAMILIES])),
            "drift_calibration": 110,
            "drift_charts": 1,
            "drift_windows_between_false_alarms": 100.0,
        }
    )
