"""``likeness index-training`` and ``index-references``: what no sample may be a copy of."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.progress import MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from streams.cli.terminal.output import Json, console, emit, say
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.tools.originals import Indexed


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(index_training)
    app.command(rich_help_panel="Use")(index_references)


def index_training(
    folder: Annotated[Path, typer.Argument(help="Has the images; a subfolder is named after whom its images show.")],
    identity: Annotated[str | None, typer.Option(help="Whom all of them show, whatever folder they are in.")] = None,
    as_json: Json = False,
) -> None:
    """Register the images that a generator learns from: a sample that is a copy of one is flagged.

    Run it again after an interruption, or with more images: what is registered already is passed over. The images are
    not kept, only what copies are recognised by. Exit status 1 where a file is no image that can be read.
    """
    _tell(asyncio.run(_index_training(read_settings(), folder, identity)), as_json)


def index_references(as_json: Json = False) -> None:
    """Register enrolled photographs that are not yet, as those of an earlier release: enrolment does it by itself.

    Exit status 1 where the image store does not have an image.
    """
    _tell(asyncio.run(_index_references(read_settings())), as_json)


async def _index_training(settings: Settings, folder: Path, identity: str | None) -> "Indexed":
    """Needs Milvus alone, and nobody who is enrolled."""
    from streams.adapters.faces.examiner import FaceExaminer
    from streams.cli.wiring.addresses import addressed, answering
    from streams.cli.wiring.services import open_originals
    from streams.tools import originals as tool

    images = await asyncio.to_thread(tool.training_images, folder, identity)
    settings = addressed(settings, "milvus")
    await answering(settings, "milvus")
    examiner = FaceExaminer(settings, report=console.print)
    async with open_originals(settings, examiner.descriptor) as originals:
        try:
            await examiner.open()
            with _progress(len(images)) as report:
                return await tool.index_training(images, examiner, originals, report)
        finally:
            await examiner.close()


async def _index_references(settings: Settings) -> "Indexed":
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.services import examining_services
    from streams.tools import originals as tool

    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    async with examining_services(settings) as services:
        with _progress(None) as report:
            return await tool.index_references(services, report)


@contextmanager
def _progress(total: int | None) -> Iterator[Callable[[int], None]]:
    """Show how many images are done; give what takes how many more are."""
    columns = (TextColumn("images"), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console) as progress:
        task = progress.add_task("images", total=total)
        yield lambda more: progress.advance(task, more)


def _tell(indexed: "Indexed", as_json: bool) -> None:
    if as_json:
        emit(asdict(indexed))
    else:
        say(f"{indexed.images} images: {indexed.registered} registered, {indexed.known} known before")
        for what, why in indexed.skipped.items():
            say(f"not registered: {what}: {why}")
    if indexed.skipped:
        raise typer.Exit(1)
