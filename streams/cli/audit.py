"""``likeness audit``: does the balance close?"""

import asyncio

import typer

from streams.cli.output import Json, emit, page

#: Exit status when the balance does not close.
UNBALANCED_STATUS = 1


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Look closer")(audit)


def audit(as_json: Json = False) -> None:
    """Count every sample, and say whether any is lost or judged twice.

    requested = accepted + flagged + dead + in flight, in the ledger and on the topics. Exit status 1 where not.
    """
    from streams.cli.wiring import addressed, answering
    from streams.settings import read_settings
    from streams.tools.audit import audit as weigh
    from streams.tools.audit import render

    settings = addressed(read_settings(), "kafka", "ledger")
    asyncio.run(answering(settings, "kafka"))
    balance = asyncio.run(weigh(settings.address("kafka"), settings.address("ledger"), group=settings.group))
    if as_json:
        emit(balance.as_dict())
    else:
        page.print(render(balance))
    if not balance.sound:
        raise typer.Exit(UNBALANCED_STATUS)
