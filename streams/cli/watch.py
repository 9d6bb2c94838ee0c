"""``likeness watch``: follow a topic."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import aclosing
from typing import Annotated, Any

import typer

from streams import topics
from streams.cli.terminal.output import console, page
from streams.errors import BadInput
from streams.settings import Settings, read_settings

JsonLines = Annotated[bool, typer.Option("--json", help="Print one JSON object a message on standard output.")]

_TOPICS = ", ".join(topic.name for topic in topics.ALL)


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(watch)


def watch(
    topic: Annotated[str, typer.Argument(help=f"Which topic: {_TOPICS}.")] = topics.SAMPLES_FLAGGED.name,
    from_beginning: Annotated[
        bool, typer.Option("--from-beginning", help="Begin with the oldest message, not with the next one.")
    ] = False,
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many messages.")] = None,
    as_json: JsonLines = False,
) -> None:
    """Follow a topic, readably or as JSON lines, until Ctrl-C."""
    from streams.cli.terminal.interruption import Interrupted, interruptible
    from streams.cli.watch_lines import as_object, for_reading
    from streams.cli.wiring.addresses import addressed

    if topic not in {one.name for one in topics.ALL}:
        raise BadInput(f"no topic {topic!r}: choose one of {_TOPICS}")
    settings = addressed(read_settings(), "kafka")
    if not as_json:
        console.print(f"following {topic}; Ctrl-C ends it", style="dim")

    def show(record: Any) -> None:
        if as_json:
            sys.stdout.write(as_object(topic, record) + "\n")
            sys.stdout.flush()
        else:
            page.print(for_reading(topic, record))

    try:
        asyncio.run(interruptible(_follow(settings, topic, from_beginning, limit, show), says=None))
    except Interrupted:  # the way in which it is meant to end
        return


async def _follow(
    settings: Settings, topic: str, from_beginning: bool, limit: int | None, show: Callable[[Any], None]
) -> None:
    from streams.cli.wiring.addresses import answering
    from streams.kafka.readers import follow

    await answering(settings, "kafka")
    seen = 0
    async with aclosing(follow(settings.address("kafka"), topic, from_beginning=from_beginning)) as records:
        async for record in records:
            show(record)
            seen += 1
            if seen == limit:
                return
