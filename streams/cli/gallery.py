"""``likeness enrol``: who may be shown, and who must not."""

import asyncio
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.output import Json, console, emit, page
from streams.core.gallery import Origin
from streams.errors import BadInput
from streams.events import DEFAULT_MODEL
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.tools.enrol import Enrolled


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(enrol)


def enrol(
    folder: Annotated[
        Path | None, typer.Argument(help="Has one subfolder a person, named as the identity: images and consent.toml.")
    ] = None,
    synthetic: Annotated[int, typer.Option(min=0, help="Enrol so many synthetic identities instead.")] = 0,
    model: Annotated[str, typer.Option(help="The generator that synthetic identities come from.")] = DEFAULT_MODEL,
    references: Annotated[int, typer.Option(min=1, help="References of each synthetic identity.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Which synthetic identities.")] = 0,
    origin: Annotated[Origin, typer.Option(help="Where the folder's images come from.")] = Origin.PHOTO,
    protected: Annotated[
        bool, typer.Option("--protected", help="Enrol them all only so that nobody generates them; needs no consent.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Also those who were forgotten: they agree once more.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Enrol people from a folder, or synthetic identities from a served generator.

    consent.toml holds `granted_on = 2026-01-31` and `evidence = "signed form 17"`, and may hold `expires_on`,
    `purposes`, `models` and `territories`; or `protected = true` for somebody whom nobody may generate. Who is enrolled
    again is replaced. Exit status 1 where somebody could not be enrolled.
    """
    if (folder is None) == (synthetic == 0):
        raise BadInput("expected either a folder or --synthetic N, not both and not neither")
    if folder is not None:
        results = asyncio.run(_enrol_folder(read_settings(), folder, origin, protected=protected, again=again))
    else:
        results = asyncio.run(_enrol_synthetic(read_settings(), synthetic, model, seed, references, again=again))
    enrolled = [one for one in results if one.refused is None]
    if as_json:
        emit({"enrolled": len(enrolled), "identities": [asdict(one) for one in results]})
    else:
        page.print(_table(results))
    if len(enrolled) < len(results):
        raise typer.Exit(1)


async def _enrol_folder(
    settings: Settings, folder: Path, origin: Origin, *, protected: bool, again: bool
) -> "list[Enrolled]":
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.services import examining_services
    from streams.tools.enrol import enrol_folder, people_in

    people = people_in(folder)
    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    async with examining_services(settings, create_gallery=True) as services:
        if again:
            await _lift(settings, [person.name for person in people])
        return await enrol_folder(people, services, origin, protected=protected)


async def _lift(settings: Settings, names: list[str]) -> None:
    """Have these names mean somebody again."""
    from streams.adapters.ledger.erasures import SqlErasures
    from streams.cli.wiring.database import opened_database

    async with opened_database(settings) as database:
        for name in names:
            await SqlErasures(database).lift(name, at=datetime.now(UTC))


async def _enrol_synthetic(
    settings: Settings, count: int, model: str, seed: int, references: int, *, again: bool
) -> "list[Enrolled]":
    from streams.cli.wiring.addresses import addressed, answering
    from streams.cli.wiring.services import examining_services
    from streams.tools.enrol import Enrolled
    from streams.tools.synthetic import enrol_synthetic

    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    await answering(settings, "triton")
    async with examining_services(settings, create_gallery=True) as services:
        if again:
            await _lift(settings, [f"synthetic-{number:02d}" for number in range(1, count + 1)])
        names = await enrol_synthetic(
            count, services, model=model, seed=seed, references=references, report=console.print
        )
    return [Enrolled(name, references) for name in names]


def _table(results: "list[Enrolled]") -> Table:
    table = Table("identity", "references", "result", "images not used", box=None, pad_edge=False)
    for one in results:
        skipped = "\n".join(f"{name}: {why}" for name, why in one.skipped.items())
        result = "[green]enrolled[/]" if one.refused is None else f"[red]refused[/]: {escape(one.refused)}"
        table.add_row(escape(one.identity), str(one.references), result, escape(skipped))
    return table
