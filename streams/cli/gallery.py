"""``likeness enrol`` and ``likeness consent``: who may be shown."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from streams.adapters.faces import TorchExaminer
from streams.cli.output import Json, console, emit
from streams.cli.wiring import addressed, examining_services, open_services
from streams.core.gallery import Origin
from streams.errors import BadInput
from streams.settings import Settings
from streams.tools.enrol import Enrolled, enrol_folder
from streams.tools.synthetic import enrol_synthetic


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(enrol)
    app.command()(withdraw)


def enrol(
    folder: Annotated[Path | None, typer.Argument(help="One subfolder a person: images and consent.toml.")] = None,
    synthetic: Annotated[int, typer.Option(min=0, help="Enrol so many synthetic identities instead.")] = 0,
    model: Annotated[str, typer.Option(help="The generator that synthetic identities come from.")] = "face_gan",
    references: Annotated[int, typer.Option(min=1, help="References of each synthetic identity.")] = 6,
    seed: Annotated[int, typer.Option(min=0, help="Which synthetic identities.")] = 0,
    origin: Annotated[Origin, typer.Option(help="Where the folder's images come from.")] = Origin.PHOTO,
    as_json: Json = False,
) -> None:
    """Enrol people from a folder, or synthetic identities from a served generator."""
    if (folder is None) == (synthetic == 0):
        raise BadInput("expected either a folder or --synthetic N, not both and not neither")
    settings = addressed(Settings())
    if folder is not None:
        results = asyncio.run(_enrol_folder(settings, folder, origin))
    else:
        results = asyncio.run(_enrol_synthetic(settings, synthetic, model, seed, references))
    enrolled = [one for one in results if one.refused is None]
    if as_json:
        emit({"enrolled": len(enrolled), "identities": [asdict(one) for one in results]})
    else:
        console.print(_table(results))
    if not enrolled:
        raise typer.Exit(1)


async def _enrol_folder(settings: Settings, folder: Path, origin: Origin) -> list[Enrolled]:
    async with examining_services(settings, create_gallery=True) as services:
        return await enrol_folder(folder, services, origin)


async def _enrol_synthetic(settings: Settings, count: int, model: str, seed: int, references: int) -> list[Enrolled]:
    async with examining_services(settings, create_gallery=True) as services:
        names = await enrol_synthetic(
            count, services, model=model, seed=seed, references=references, report=console.print
        )
    return [Enrolled(name, references) for name in names]


def _table(results: list[Enrolled]) -> Table:
    table = Table("identity", "references", "skipped", "result")
    for one in results:
        skipped = "\n".join(f"{name}: {why}" for name, why in one.skipped.items())
        table.add_row(one.identity, str(one.references), skipped, one.refused or "enrolled")
    return table


def withdraw(
    identity: Annotated[str, typer.Argument(help="Whose consent ends now.")],
    note: Annotated[str, typer.Option(help="Why, or on whose word.")] = "withdrawn by command",
    as_json: Json = False,
) -> None:
    """Withdraw a person's consent: from now on nothing is generated of them, and nothing accepted."""
    asyncio.run(_withdraw(addressed(Settings()), identity, note))
    if as_json:
        emit({"identity": identity, "consent": "withdrawn"})
    else:
        console.print(f"{identity}: consent is withdrawn")


async def _withdraw(settings: Settings, identity: str, note: str) -> None:
    async with open_services(settings, TorchExaminer(settings)) as services:
        if identity not in await services.gallery.identities([identity]):
            raise BadInput(f"nobody is enrolled as {identity!r}")
        await services.consent.withdraw(identity, at=services.now(), note=note)
