"""``likeness schema``: what travels, for programs in any language."""

import typer

from streams.cli.output import emit
from streams.core.schemas import schemas


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(schema)


def schema() -> None:
    """Print the JSON Schema of every message body, by topic."""
    emit(schemas())
