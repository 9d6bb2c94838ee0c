"""What a command prints: results on standard output, everything else on standard error."""

import json
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer
from rich.console import Console

#: For people: progress, tables, errors.
console = Console(stderr=True)

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON object on standard output, all else on standard error.")
]


def emit(result: Mapping[str, Any]) -> None:
    """Print a command's result as one JSON object."""
    sys.stdout.write(json.dumps(result, ensure_ascii=False, default=str) + "\n")
    sys.stdout.flush()
