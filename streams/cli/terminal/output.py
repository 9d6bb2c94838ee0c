"""What a command prints: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

#: Progress and errors.
console = Console(stderr=True)
#: Results for people. With ``--json`` nothing is printed here.
page = Console()

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, all else on standard error.")
]


def emit(result: Mapping[str, Any]) -> None:
    """Print a command's result as one JSON object, on one line."""
    sys.stdout.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """Print a line about a result as it is: paths and ids stay in one piece, and nothing in it is markup."""
    page.print(printable(text), highlight=False, markup=False, soft_wrap=True)


def printable(text: str) -> str:
    r"""Return the text without what would steer a terminal: strangers' messages are shown, and never obeyed.

    >>> printable("a\x1b[2Jb")
    'a�[2Jb'
    """
    return "".join(each if each.isprintable() or each in "\n\t" else "\N{REPLACEMENT CHARACTER}" for each in text)
