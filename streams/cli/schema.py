"""``likeness schema``: what travels, for programs in any language."""

import typer

from streams.cli.terminal.output import emit


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Look closer")(schema)


def schema() -> None:
    """Print the JSON Schema of every message body, by topic."""
    from streams.core.schemas import schemas

    emit(schemas())
