"""What the demonstration says in the end: on the terminal, and as JSON."""

from typing import Any

from rich.table import Table

from streams.cli.demo.run import Shown
from streams.cli.terminal.output import page, say
from streams.tools.audit.tables import render
from streams.tools.report.levels import Level, by_strength, unmade


def show(shown: Shown, first: float | None) -> None:
    """Print the tables; ``first`` is when the first verdict came, in seconds from the start."""
    samples = list(shown.followed.verdicts.values())
    table = Table("σ", "samples", "accepted", "flagged", "similarity", "main reasons")
    for level in by_strength(samples):
        table.add_row(f"{level.strength:g}", *_cells(level))
    if (never := unmade(samples)).samples:
        table.add_section()
        table.add_row("never made", *_cells(never))
    page.print(table)
    page.print(render(shown.balance))
    if first is not None:
        say(f"first verdict after {first} s")
    say(f"report: {shown.report}")


def _cells(level: Level) -> list[str]:
    mean = "" if level.mean is None else f"{level.mean:.2f}"
    reasons = ", ".join(f"{code} {number}" for code, number in level.reasons.items())
    return [str(len(level.samples)), str(level.accepted), str(level.flagged), mean, reasons]


def as_dict(shown: Shown, first: float | None) -> dict[str, Any]:
    """Return the result as JSON can hold it: the audit's counts, and what became of each strength σ."""
    samples = list(shown.followed.verdicts.values())
    return {
        **shown.balance.as_dict(),
        "first_verdict_s": first,
        "by_sigma": {f"{level.strength:g}": _level(level) for level in by_strength(samples)},
        "never_made": {"samples": len(unmade(samples).samples), "reasons": unmade(samples).reasons},
        "report": str(shown.report),
    }


def _level(level: Level) -> dict[str, Any]:
    return {
        "samples": len(level.samples),
        "accepted": level.accepted,
        "mean_similarity": None if level.mean is None else round(level.mean, 4),
        "reasons": level.reasons,
    }
