"""The result for people, as tables on standard error."""

from collections.abc import Mapping
from typing import Any

from rich.table import Table

from streams.cli.output import console

#: Of rounds in which other programs took more cores than this, the rates do not compare.
DISTURBED_CORES = 0.2


def show(result: Mapping[str, Any]) -> None:
    """Print the rates, and where a batch's time goes."""
    console.print(_rates(result))
    console.print(_anatomy(result))
    about = result["machine"]
    console.print(
        f"{about['cores']} cores of {about['processor']}, load {about['load_before']} before;"
        f" {result['samples']} samples a round, {result['rounds']} rounds, batches of {result['batch_size']}"
        f" (of {result['road']['mean_batch']} on the road), {result['threads']} threads",
        highlight=False,
    )
    if max(result["bare"]["others_cores"] + result["road"]["others_cores"]) > DISTURBED_CORES:
        console.print(
            "[yellow]other programs were busy meanwhile: the rates and their ratio say little,"
            " the engine's share still does[/]"
        )


def _rates(result: Mapping[str, Any]) -> Table:
    table = Table("", "median", "least", "most", "expected")
    for name in ("bare", "road"):
        one = result[name]
        numbers = (f"{one[key]:.1f}" for key in ("median", "least", "most"))
        table.add_row(f"{name}, {one['unit']}", *numbers, result["expected"][name])
    of_medians = f"[bold]{result['ratio']['of_medians']:.3f}[/]"
    _row(table, "[bold]road / bare[/]", of_medians, result["ratio"]["beside"], result["expected"]["ratio"])
    share = result["road"]["engine_share"]
    _row(
        table, "engine's share of the road's time", f"{share['median']:.3f}", share, result["expected"]["engine_share"]
    )
    busy = result["bare"]["others_cores"] + result["road"]["others_cores"]
    table.add_row("cores that other programs took", "", f"{min(busy):.1f}", f"{max(busy):.1f}", "0")
    return table


def _row(table: Table, name: str, median: str, spread: Mapping[str, float], expected: str) -> None:
    table.add_row(name, median, f"{spread['least']:.3f}", f"{spread['most']:.3f}", expected)


def _anatomy(result: Mapping[str, Any]) -> Table:
    title = f"the judge's step, call by call; a batch on the road takes {result['road']['batch_ms']:.0f} ms"
    table = Table("in one batch", "calls", "ms", "share", title=title)
    rows = result["batch"]
    whole = rows["in all"]["ms"]
    for name, row in sorted(rows.items(), key=lambda item: (item[0] == "in all", -item[1]["ms"])):
        table.add_row(name, f"{row['calls']:g}", f"{row['ms']:.1f}", f"{row['ms'] / whole:.1%}")
    return table
