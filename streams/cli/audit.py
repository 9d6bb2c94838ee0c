"""``likeness audit``: does the balance close?"""

import asyncio

import typer

from streams.cli.output import Json, console, emit
from streams.cli.wiring import addressed
from streams.settings import Settings
from streams.tools.audit import audit as weigh
from streams.tools.audit import render

#: Exit status when the balance does not close.
UNBALANCED_STATUS = 1


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(audit)


def audit(as_json: Json = False) -> None:
    """Count every sample: requested = accepted + flagged + dead + in flight, none lost, none judged twice."""
    settings = addressed(Settings())
    balance = asyncio.run(weigh(settings.kafka or "", settings.ledger or "", group=settings.group))
    if as_json:
        emit(balance.as_dict())
    else:
        console.print(render(balance))
    if not balance.sound:
        raise typer.Exit(UNBALANCED_STATUS)
