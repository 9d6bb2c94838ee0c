"""``likeness index-second``: the gallery for the second verifier."""

import asyncio
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from streams.cli.terminal.counting import counted
from streams.cli.terminal.output import Json, emit, say
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.tools.second import Added


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(index_second)


def index_second(as_json: Json = False) -> None:
    """Enrol for the second verifier who is enrolled: `enrol` does it by itself where one is set up.

    Needs LIKENESS_SECOND_EMBEDDER. Exit status 1 where the image of a reference cannot be had, or shows no one face.
    """
    added = asyncio.run(_index(read_settings()))
    if as_json:
        emit(asdict(added))
    else:
        say(f"{added.identities} people: {added.enrolled} enrolled for the second verifier, {added.known} known before")
        for reference, why in added.skipped.items():
            say(f"not enrolled: reference {reference}: {why}")
    if added.skipped:
        raise typer.Exit(1)


async def _index(settings: Settings) -> "Added":
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.services import examining_services
    from streams.tools.second import add_second

    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    async with examining_services(settings, create_second=True) as services:
        with counted("people") as report:
            return await add_second(services, report)
