"""``likeness``: every command, one file a group."""

import importlib.metadata
import sys
from collections.abc import Sequence

import typer

from streams.cli import audit, demo, gallery, judge, parts, requests, schema, work
from streams.cli.output import console
from streams.errors import BadInput, LikenessError, Unready, WeightsUnusable

#: Exit status when something that was given, or the set-up, is wrong: trying again changes nothing.
WRONG_STATUS = 2
#: Exit status of everything else that fails.
FAILED_STATUS = 1


def build() -> typer.Typer:
    """Return the command line, with the commands that other packages bring through entry points."""
    app = typer.Typer(
        name="likeness", help=__doc__, no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False
    )
    for module in (demo, parts, work, requests, gallery, judge, audit, schema):
        module.add_to(app)
    for entry in importlib.metadata.entry_points(group="likeness.commands"):
        app.add_typer(entry.load(), name=entry.name)
    return app


def main(arguments: Sequence[str] | None = None) -> None:
    """Run one command; a known error is one message, not a traceback."""
    try:
        build()(args=arguments)
    except LikenessError as error:
        console.print("likeness:", style="bold red", end=" ")
        console.print(str(error), highlight=False, markup=False)
        sys.exit(WRONG_STATUS if isinstance(error, BadInput | Unready | WeightsUnusable) else FAILED_STATUS)
    except KeyboardInterrupt:
        sys.exit(130)


if __name__ == "__main__":
    main()
