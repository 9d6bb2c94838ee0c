"""The balance as tables for the terminal."""

from collections.abc import Mapping, Sequence

from rich.markup import escape
from rich.table import Table

from streams.tools.audit.balance import Balance, Hour

#: So many of the last hours have a line of their own, and so has every earlier one that does not add up.
HOURS_SHOWN = 24

_BY_HOUR = ("requested", "accepted", "flagged", "dead", "in_flight", "unaccounted")


def render(balance: Balance) -> Table:
    """Return every count, with what it means, and the first samples of each kind that do not add up."""
    conclusion = "[green]everything adds up[/]" if balance.sound else "[bold red]this does not add up[/]"
    table = Table(title=f"Audit: {conclusion}", title_justify="left", show_header=False)
    table.add_column(justify="left")
    table.add_column(justify="right")
    table.add_column(overflow="fold", style="dim")
    table.add_row("requested", str(balance.requested), "samples that the ledger has registered")
    for name, meaning in (
        ("accepted", "shown to be good"),
        ("flagged", _listed(balance.reasons)),
        ("dead", _listed(balance.dead_reasons)),
        ("in_flight", "no verdict yet, or not delivered yet"),
    ):
        table.add_row(f"  {name.replace('_', ' ')}", str(getattr(balance, name)), meaning)
    table.add_section()
    for name, meaning in (
        ("lost", "asked for or decided, and nowhere to be found"),
        ("conflicting", "two different ends of one sample"),
        ("phantom", "ends of samples that nobody registered"),
        ("misnamed", "records that contradict their key or topic"),
        ("inexact", "right value, other key, headers or time"),
        ("overdue", "in flight for longer than they should be"),
        ("unaccounted", "samples that any of these lines counts"),
    ):
        count = getattr(balance, name)
        table.add_row(name, f"[bold red]{count}[/]" if count else "[green]0[/]", meaning)
    table.add_section()
    table.add_row("unread", str(balance.unread), "asked for, and not read by the worker yet")
    table.add_row("duplicates", str(balance.duplicates), "repeated records, the same to the byte")
    table.add_row("superseded", str(balance.superseded), "dead letters that were sent back")
    table.add_row("expired", str(balance.expired), "older than their topic keeps records")
    for kind, offences in balance.offences.items():
        table.add_section()
        for offence in offences:
            table.add_row(f"[red]{kind}[/]", "", escape(f"{offence.sample_id}: {offence.why}"))
    return table


def render_hours(hours: Sequence[Hour]) -> Table:
    """Return the last hours one by one, and so every earlier one that does not add up; the others in one line."""
    alone = [*(hour for hour in hours[:-HOURS_SHOWN] if hour.unaccounted), *hours[-HOURS_SHOWN:]]
    rest = [hour for hour in hours[:-HOURS_SHOWN] if not hour.unaccounted]
    table = Table(title="By the hour of registration (UTC)", title_justify="left")
    table.add_column("hour")
    for name in _BY_HOUR:
        table.add_column(name.replace("_", " "), justify="right")
    if rest:
        sums = [sum(getattr(hour, name) for hour in rest) for name in _BY_HOUR]
        table.add_row(f"{len(rest)} earlier ones", *map(str, sums), style="dim")
    for hour in alone:
        counts = [str(getattr(hour, name)) for name in _BY_HOUR]
        table.add_row(hour.hour.replace("T", " ").removesuffix("Z"), *counts, style="red" if hour.unaccounted else "")
    return table


def _listed(reasons: Mapping[str, int]) -> str:
    return escape(", ".join(f"{reason} {count}" for reason, count in reasons.items()))
