"""``likeness dlq``: look at dead letters, and send them back."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.moments import moment
from streams.cli.terminal.output import Json, emit, page, printable, say
from streams.core.redrive import MOST_REDRIVES, WAYS_IN
from streams.errors import BadInput
from streams.events import DeadReason
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.adapters.ledger.redrives import SqlRedrives
    from streams.tools.dead_letters import DeadLetter, Wanted
    from streams.tools.redrive import Done

Reason = Annotated[DeadReason | None, typer.Option(help="Only those that died of this.")]
From = Annotated[str | None, typer.Option(help=f"Only those that came from: {', '.join(sorted(WAYS_IN))}.")]
Since = Annotated[str | None, typer.Option(help="Only later ones: such as 90m, 2h, 3d or 2026-01-31T12:00.")]
Limit = Annotated[int | None, typer.Option(min=1, help="So many at most.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(help="Look at dead letters, and send them back.", no_args_is_help=True)
    group.command("list")(list_)
    group.command()(show)
    group.command()(redrive)
    app.add_typer(group, name="dlq", rich_help_panel="Look closer")


def list_(
    reason: Reason = None, topic: From = None, since: Since = None, limit: Limit = None, as_json: Json = False
) -> None:
    """List dead letters, the newest last: what died, of what, and whether it was sent back."""
    wanted = _wanted((), reason, topic, since)
    letters = [letter for letter in asyncio.run(_read(read_settings())) if wanted.includes(letter)]
    letters = letters[-limit:] if limit else letters
    if as_json:
        emit({"dead_letters": [letter.as_dict() for letter in letters]})
    elif letters:
        page.print(_table(letters))
    else:
        say("no dead letters")


def show(
    letter_id: Annotated[str, typer.Argument(metavar="ID", help="Its id, or the beginning.")], as_json: Json = False
) -> None:
    """Show one dead letter whole: why it died, its headers and its value."""
    from streams.tools.dead_letters import one

    letter = one(asyncio.run(_read(read_settings())), letter_id)
    content = letter.whole()
    if as_json:
        emit(content)
        return
    headers = content.pop("headers")
    for name, held in [*content.items(), *((f"header {name}", held) for name, held in headers.items())]:
        say(f"{name}: {held}")


def redrive(
    ids: Annotated[
        list[str] | None, typer.Argument(help="Ids or their beginnings; all that match where left out.")
    ] = None,
    reason: Reason = None,
    topic: From = None,
    since: Since = None,
    limit: Limit = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be done.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help=f"Also what was sent back {MOST_REDRIVES} times and died each time.")
    ] = False,
    note: Annotated[str, typer.Option(help="Who does this and why; the ledger keeps it.")] = "sent back by command",
    as_json: Json = False,
) -> None:
    """Send dead letters back to the topics that they came from: mend the cause first.

    Each sample is put back in flight, and gets one verdict. A run that was cut off is taken up by the next one. Exit
    status 1 where one was refused.
    """
    wanted = _wanted(ids or (), reason, topic, since)
    done = asyncio.run(_redrive(read_settings(), wanted, limit, dry_run=dry_run, force=force, note=note))
    if as_json:
        counts = {what: sum(one.what == what for one in done) for what in ("sent", "resumed", "refused")}
        emit({"dry_run": dry_run, **counts, "dead_letters": [asdict(one) for one in done]})
    else:
        for one in done:
            say(f"{one.id}  {'would be ' if dry_run else ''}{one.what}{': ' if one.why else ''}{one.why}")
        if not done:
            say("nothing to send back")
    if any(one.what == "refused" for one in done):
        raise typer.Exit(1)


def _wanted(
    ids: "list[str] | tuple[str, ...]", reason: DeadReason | None, topic: str | None, since: str | None
) -> "Wanted":
    from streams.tools.dead_letters import Wanted

    if topic is not None and topic not in WAYS_IN:
        raise BadInput(f"nothing comes in on {topic!r}: choose one of {', '.join(sorted(WAYS_IN))}")
    return Wanted(ids, reason, topic, None if since is None else moment(since, datetime.now(UTC)))


@asynccontextmanager
async def _redrives(settings: Settings) -> "AsyncIterator[SqlRedrives]":
    from streams.adapters.ledger.redrives import SqlRedrives
    from streams.cli.wiring.addresses import answering
    from streams.cli.wiring.database import opened_database

    await answering(settings, "kafka")
    async with opened_database(settings) as database:
        yield SqlRedrives(database)


async def _read(settings: Settings) -> "list[DeadLetter]":
    from streams.cli.wiring.addresses import addressed
    from streams.tools.dead_letters import read

    settings = addressed(settings, "kafka", "ledger")
    async with _redrives(settings) as redrives:
        return await read(settings.address("kafka"), redrives)


async def _redrive(
    settings: Settings, wanted: "Wanted", limit: int | None, *, dry_run: bool, force: bool, note: str
) -> "list[Done]":
    from streams.cli.wiring.addresses import addressed
    from streams.client import Publisher
    from streams.core.redrive import SentAgain
    from streams.tools import redrive as tool
    from streams.tools.dead_letters import one, read

    settings = addressed(settings, "kafka", "ledger")
    async with _redrives(settings) as redrives:
        every = await read(settings.address("kafka"), redrives)
        for beginning in wanted.ids:
            one(every, beginning)  # a wrong id, or one of several, is refused before anything is sent
        letters = tool.chosen(every, wanted, limit)
        if dry_run:
            return tool.foreseen(letters, await redrives.unsent(), force=force)
        async with Publisher(settings.address("kafka")) as publisher:

            async def publish(message: SentAgain) -> None:
                await publisher.raw(message.topic, message.value, message.key, message.headers)

            now = partial(datetime.now, UTC)
            return await tool.redrive(letters, redrives, publish, now=now, note=note, force=force)


def _table(letters: "list[DeadLetter]") -> Table:
    table = Table(title="Dead letters", title_justify="left")
    for name in ("id", "time", "reason", "from", "tries", "detail"):
        table.add_column(name, overflow="fold")
    for letter in letters:
        tried = f"{letter.redriven}×" if letter.redriven else ""
        table.add_row(
            letter.id[:12],
            letter.time.strftime("%Y-%m-%d %H:%M:%S"),
            f"{escape(letter.reason)}{' [green]sent back[/]' if letter.sent_back else ''}",
            escape(f"{letter.topic}[{letter.partition}]@{letter.offset}"),
            tried,
            escape(printable(letter.detail)),
        )
    return table
