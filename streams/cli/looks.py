"""``likeness looks``: how the enrolled references look, for explanations."""

import asyncio
from typing import TYPE_CHECKING, Any

import typer
from rich.table import Table

from streams.cli.terminal.output import Json, console, emit, page, say
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.tools.looks import Measured


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Look closer")(looks)


def looks(as_json: Json = False) -> None:
    """Measure how the enrolled references look, and how much those of one person differ.

    Explanations of flagged samples rest on it. Enrolment does the first by itself; run this once for a gallery that an
    older release enrolled, and again when many were enrolled: who has fewer than 3 references is compared by the
    spread that is measured here.
    """
    measured = asyncio.run(_measure(read_settings()))
    if as_json:
        emit(_as_dict(measured))
        return
    say(
        f"{measured.references} references of {measured.identities} identities: the looks of {measured.added} are new,"
        f" of {measured.unknown} cannot be measured"
    )
    if measured.spread is None:
        say("no spread: that takes 5 people with 3 references each, at least")
    else:
        page.print(_table(_as_dict(measured)["spread"]))


async def _measure(settings: Settings) -> "Measured":
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.services import examining_services
    from streams.tools.looks import measure

    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    async with examining_services(settings) as services:
        return await measure(services, console.print)


def _as_dict(measured: "Measured") -> dict[str, Any]:
    counts = {name: getattr(measured, name) for name in ("identities", "references", "added", "unknown")}
    return counts | {"spread": None if measured.spread is None else measured.spread.model_dump(mode="json")}


def _table(spread: dict[str, Any]) -> Table:
    table = Table("what", "σ within one person", box=None, pad_edge=False)
    for name, sd in spread["measures"].items():
        table.add_row(name, f"{sd:.4g}")
    for name, usual in spread["regions"].items():
        table.add_row(name, f"{usual['sd']:.4g} around {usual['mean']:.4g}")
    return table
