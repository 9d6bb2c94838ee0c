"""``likeness record``: a part of the stream, to be judged again."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.replay.selection import Offsets, Run, Since, Steps, Topic, Until, selection, shown
from streams.cli.terminal.output import Json, console, emit, say
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.tools.recording.manifest import Manifest, Selection


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Look closer")(record)


def record(
    folder: Annotated[Path, typer.Argument(help="Where the recording goes: a folder of its own.")],
    topic: Topic = None,
    run: Run = None,
    steps: Steps = None,
    since: Since = None,
    until: Until = None,
    offsets: Offsets = None,
    images: Annotated[bool, typer.Option(help="Whether images are recorded; without them nothing is rejudged.")] = True,
    as_json: Json = False,
) -> None:
    """Record a part of the stream, up to now: verdicts, what they rest on, embeddings, images and the gallery.

    For `likeness replay`, and for pandas.read_parquet("FOLDER/samples"). Given again after it was cut off, it goes on
    where it was. Reads in no consumer group and commits nothing. Keep the folder as you keep the faces in it.
    """
    wanted = selection(topic, run, steps, since, until, offsets, images=images)
    held = asyncio.run(recorded(read_settings(), folder, wanted, tell))
    if as_json:
        emit(shown(held, folder))
        return
    said = ", ".join(f"{count} {why}" for why, count in held.counts.items() if why != "read")
    say(f"recorded {held.rows} samples in {folder}" + (f" ({said})" if said else ""))


async def recorded(settings: Settings, folder: Path, wanted: "Selection", report: Callable[[str], None]) -> "Manifest":
    """Record a selection of the road that the settings lead to."""
    from streams.cli.wiring.addresses import CONNECT_SECONDS, addressed, answering
    from streams.cli.wiring.services import gallery_services
    from streams.tools.audit.topics import Topics
    from streams.tools.recording.kafka import KafkaSource
    from streams.tools.recording.record import record as make

    settings = addressed(settings)
    await answering(settings, "kafka")
    async with gallery_services(settings) as services:  # noqa: SIM117 - two things, one line each
        async with Topics(settings.address("kafka"), timeout_seconds=CONNECT_SECONDS) as topics:
            return await make(folder, wanted, KafkaSource(topics), services, report=report)


def tell(line: str) -> None:
    """Print progress."""
    console.print(line, highlight=False, markup=False, soft_wrap=True)
