"""The result for people, on standard error."""

from collections.abc import Mapping
from typing import Any

import rich.table

from streams.cli.terminal.output import console
from tests.bench.tables import DISTURBED_CORES, TABLES, Table, disturbed, figures


def show(result: Mapping[str, Any]) -> None:
    """Print every part that was measured, then the figures."""
    for name, part in result["parts"].items():
        for table in TABLES[name](part) if part else ():
            _print(table)
    _print(figures(result))
    about = result["machine"]
    _tell(
        f"{about['cores']} cores of {about['processor']}, load {about['load_before']} before and"
        f" {about['load_after']} after; {result['rounds']} rounds"
    )
    if (most := disturbed(result["parts"])) > DISTURBED_CORES:
        _tell(f"other programs took up to {most:.1f} cores meanwhile: the rates say little, ratios a little more")


def _print(table: Table) -> None:
    drawn = rich.table.Table(*table.header, title=table.title)
    for row in table.rows:
        drawn.add_row(*(cell.replace("**", "").replace("`", "") for cell in row))
    console.print(drawn)
    if table.note:
        _tell(table.note.replace("`", ""))


def _tell(line: str) -> None:
    console.print(line, highlight=False, markup=False)
