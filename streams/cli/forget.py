"""``likeness forget``: erase a person, and prove it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from streams.cli.terminal.output import Json, console, emit, say
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.core.erasure import Receipt
    from streams.tools.forget import Places

#: Exit status where something is left, or could not be done yet.
LEFT_STATUS = 1


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(forget)


def forget(
    identity: Annotated[str, typer.Argument(help="The person, by the name under which they were enrolled.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Prove by search, by SQL and byte by byte that nothing is left.")
    ] = False,
    wait: Annotated[
        float, typer.Option(min=0, metavar="SECONDS", help="How long workers may take to end what they have at hand.")
    ] = 30.0,
    as_json: Json = False,
) -> None:
    """Erase a person: consent, references, vectors, images, and what names them in the ledger; print the receipt.

    May be done while workers run. Cut off, give the same command again. Exit status 1 where something is left.
    """
    receipt = asyncio.run(_forget(read_settings(), identity, verify, wait))
    if as_json:
        emit({**asdict(receipt), "complete": receipt.complete})
    else:
        _show(receipt)
    if not receipt.complete:
        raise typer.Exit(LEFT_STATUS)


async def _forget(settings: Settings, identity: str, verify: bool, wait: float) -> "Receipt":
    from streams.tools.forget import forget

    async with _places(settings) as places:
        return await forget(identity, places, verify=verify, wait_seconds=wait, report=console.print)


@asynccontextmanager
async def _places(settings: Settings) -> "AsyncIterator[Places]":
    from streams.adapters.images.store import ImageStore
    from streams.adapters.ledger.consent import SqlConsentRegister
    from streams.adapters.ledger.erasures import SqlErasures
    from streams.adapters.milvus.erasure import MilvusVectors
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database
    from streams.tools.forget import Places

    settings = addressed(settings, "kafka", "milvus", "ledger", "images")
    token = settings.milvus_token.get_secret_value()
    vectors = MilvusVectors(settings.address("milvus"), token, settings.call_timeout_seconds)
    async with opened_database(settings) as database:
        try:
            yield Places(
                erasures=SqlErasures(database),
                vectors=vectors,
                images=ImageStore(settings.address("images")),
                consent=SqlConsentRegister(database),
                kafka=settings.address("kafka"),
                now=partial(datetime.now, UTC),
                folders=_folders(settings),
                without=[settings.data_dir / "kafka"],
                reports=[settings.data_dir / "report.html"],
            )
        finally:
            await vectors.close()


def _folders(settings: Settings) -> list[Path]:
    """Return where parts on this machine keep their data."""
    from sqlalchemy.engine import make_url

    found = [settings.data_dir]
    ledger = make_url(settings.address("ledger"))
    if ledger.get_backend_name() == "sqlite" and ledger.database:
        found += [Path(f"{ledger.database}{suffix}") for suffix in ("", "-wal", "-shm")]
    if "://" not in settings.address("images"):
        found.append(Path(settings.address("images")))
    return found


def _show(receipt: "Receipt") -> None:
    say(f"{receipt.identity} is forgotten; receipt {receipt.receipt}, begun {receipt.began_at}")
    for title, counts in (("found", receipt.found), ("deleted", receipt.deleted)):
        say(f"{title}: {', '.join(f'{count} {kind}' for kind, count in counts.items()) or 'nothing'}")
    for one in receipt.remains:
        say(f"remains: {one.what}{f' (until {one.until})' if one.until else ''}: {one.why}")
    for how in receipt.verified:
        say(f"looked through: {how}")
    for place, count in (receipt.left or {}).items():
        say(f"LEFT: {count} × {place}")
    if receipt.finished_at is None:
        say("not finished: give the same command again")
    elif receipt.left is not None and not receipt.left:
        say(f"finished {receipt.finished_at}, nothing is left")
