"""The command ``weights``: fetch what generators need, and say what is there."""

import json
from dataclasses import asdict
from typing import Annotated

import typer

from generators.weights import PUBLISHED, Published, ensure, folder_of, named, read
from streams.cards import as_text, read_card
from streams.errors import WeightsUnusable
from streams.settings import Settings

weights = typer.Typer(help="Weights of the served generators.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Name = Annotated[str, typer.Argument(help="Which weights; `list` names them.")]


@weights.command()
def fetch(
    name: Annotated[str | None, typer.Argument(help="Which weights; all of them if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch weights, check them and convert them into the cache. What is there already is only checked."""
    cache_dir = Settings().cache_dir
    wanted = list(PUBLISHED.values()) if name is None else [named(name)]
    for published in wanted:
        ensure(published, cache_dir, lambda line: typer.echo(line, err=True))
    rows = [_row(published) for published in wanted]
    typer.echo(
        json.dumps({"weights": rows}) if as_json else "\n".join(f"{row['name']}\t{row['folder']}" for row in rows)
    )


@weights.command("list")
def show(as_json: AsJson = False) -> None:
    """List every set of weights, and whether it can be used here."""
    rows = [_row(published) for published in PUBLISHED.values()]
    lines = [f"{row['name']}\t{'ready' if row['usable'] else row['detail']}" for row in rows]
    typer.echo(json.dumps({"weights": rows}) if as_json else "\n".join(lines))


@weights.command()
def card(name: Name, as_json: AsJson = False) -> None:
    """Show where weights come from, what they learned from, their licence and their limits."""
    published = named(name)
    found = read_card(folder_of(published, Settings().cache_dir))
    if found is None:
        raise WeightsUnusable(f"expected a model card of {name}, got none: run `likeness weights fetch {name}` first")
    typer.echo(json.dumps(asdict(found)) if as_json else as_text(found))


def _row(published: Published) -> dict[str, str | bool]:
    cache_dir = Settings().cache_dir
    try:
        read(published, cache_dir)
    except WeightsUnusable as error:
        detail, usable = str(error), False
    else:
        detail, usable = "", True
    return {
        "name": published.name,
        "folder": str(folder_of(published, cache_dir)),
        "usable": usable,
        "detail": detail,
    }
