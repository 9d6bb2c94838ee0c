"""``likeness``: every command, one file a group.

Command files import what they run inside their functions: `likeness --help` must not wait for Milvus' client.
"""

import importlib.metadata
import logging
import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from streams.cli import (
    audit,
    calibrate,
    clips,
    consent,
    copies,
    dlq,
    drift,
    evaluate,
    forget,
    gallery,
    intake,
    judge,
    looks,
    parts,
    requests,
    schema,
    second,
    watch,
    work,
)
from streams.cli.demo import command as demo
from streams.cli.replay import record, replay
from streams.cli.terminal.output import console
from streams.errors import SETUP_STATUS, BadInput, LikenessError, Unready, WeightsUnusable

#: Exit status of everything else that fails.
FAILED_STATUS = 1

_HELP = "Streaming quality control for face generators: is it the person it should be, and nobody else?"
_EPILOG = "Begin with: likeness demo. Addresses and limits are set by LIKENESS_… variables, such as LIKENESS_KAFKA."


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(importlib.metadata.version("likeness-qc"))
        raise typer.Exit


def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and end.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Take the options that stand before a command."""


def build() -> typer.Typer:
    """Return the command line, with the commands that other packages bring through entry points."""
    app = typer.Typer(
        name="likeness",
        callback=_options,
        help=_HELP,
        epilog=_EPILOG,
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    for module in (
        *(demo, parts, work, intake, requests, watch, judge, clips),
        *(gallery, copies, second, consent, forget, audit, calibrate, evaluate, record, replay, dlq, drift, looks),
        schema,
    ):
        module.add_to(app)
    for entry in importlib.metadata.entry_points(group="likeness.commands"):
        try:
            app.add_typer(entry.load(), name=entry.name, rich_help_panel="Look closer")
        except (ImportError, AttributeError) as error:  # another package's fault must not keep a worker from starting
            told = f"likeness: the command {entry.name} of {entry.value} cannot be loaded, and is left out: {error}"
            console.print(told, highlight=False, markup=False, soft_wrap=True)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a known error is one message, not a traceback."""
    for library in ("aiokafka", "pymilvus"):  # what goes wrong is told by the error; they log every try of it as well
        logging.getLogger(library).setLevel(logging.CRITICAL)
    try:
        build()(args=arguments, prog_name="likeness")
    except LikenessError as error:
        console.print("likeness:", style="bold red", end=" ")
        console.print(str(error), highlight=False, markup=False, soft_wrap=True)
        sys.exit(SETUP_STATUS if isinstance(error, BadInput | Unready | WeightsUnusable) else FAILED_STATUS)


if __name__ == "__main__":
    main()
