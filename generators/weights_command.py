"""The command ``weights``: fetch what the generators and the judge need, and say what is there."""

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from generators.weights import PUBLISHED, ensure, read
from streams.adapters.engines import chosen as engines
from streams.adapters.engines import onnx_models
from streams.adapters.engines.openvino_sessions import refuse_without_bf16
from streams.adapters.facenet import weights as facenet_weights
from streams.adapters.precision import bf16 as bf16_models
from streams.adapters.precision import int8 as int8_models
from streams.adapters.second import dlib_resnet
from streams.cards import as_text, read_card
from streams.errors import BadInput, Unready, WeightsUnusable
from streams.settings import read_settings
from streams.wheels import Report

weights = typer.Typer(
    help="Fetch and check the weights of the generators and of FaceNet, and show their cards.", no_args_is_help=True
)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Name = Annotated[str, typer.Argument(help="Which weights; `likeness weights list` names them.")]


FACENET = "facenet-128"


@dataclass(frozen=True)
class _Known:
    """One set of weights that this command looks after."""

    name: str
    fetch: Callable[[Path, Report], object]
    """Takes the cache folder; raises WeightsUnusable, or Unready where something is not installed."""
    check: Callable[[Path], object]
    """Takes the cache folder; raises as ``fetch`` does."""


def _known() -> dict[str, _Known]:
    generators = [_Known(name, partial(ensure, one), partial(read, one)) for name, one in PUBLISHED.items()]
    facenet = _Known(
        FACENET,
        lambda cache_dir, report: facenet_weights.prepared(_folder(FACENET, cache_dir), report),
        lambda cache_dir: facenet_weights.check(_folder(FACENET, cache_dir)),
    )
    exported = onnx_models.folder_of(read_settings())
    engine = _Known(
        exported.name,
        lambda cache_dir, report: onnx_models.ensure(read_settings(), report),
        lambda cache_dir: onnx_models.check(exported),
    )
    return {known.name: known for known in (*generators, facenet, engine, *_shorter(), *_second())}


def _shorter() -> list[_Known]:
    """Return the embedder in the shorter numbers that the settings ask for: they take minutes to prepare."""
    settings = read_settings()
    bf16 = _Known(
        bf16_models.folder_of(settings).name,
        lambda cache_dir, report: bf16_models.load(settings, engines.load(settings, report), report),
        lambda cache_dir: bf16_models.check(settings),
    )
    int8 = _Known(
        int8_models.folder_of(settings).name,
        lambda cache_dir, report: int8_models.load(settings, engines.load(settings, report), report),
        lambda cache_dir: int8_models.check(settings),
    )
    asked_for = {"fp32": [], "bf16": [bf16], "int8": [int8], "auto": [bf16, int8] if _has_bf16() else [int8]}
    return asked_for[settings.precision]


def _second() -> list[_Known]:
    """Return the second verifier where the settings ask for one: 100 MB are fetched for it."""
    if read_settings().second_embedder is None:
        return []
    second = _Known(
        dlib_resnet.NAME,
        lambda cache_dir, report: dlib_resnet.weights(_folder(dlib_resnet.NAME, cache_dir), report),
        lambda cache_dir: dlib_resnet.check(_folder(dlib_resnet.NAME, cache_dir)),
    )
    return [second]


def _has_bf16() -> bool:
    try:
        refuse_without_bf16()
    except Unready:
        return False
    return True


@weights.command()
def fetch(
    name: Annotated[str | None, typer.Argument(help="Which weights; all of them if left out.")] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch weights, check them and convert them into the cache. What is there already is only checked."""
    cache_dir = read_settings().cache_dir
    wanted = list(_known().values()) if name is None else [_named(name)]
    for known in wanted:
        known.fetch(cache_dir, lambda line: typer.echo(line, err=True))
    rows = [_row(known, cache_dir) for known in wanted]
    typer.echo(
        json.dumps({"weights": rows}) if as_json else "\n".join(f"{row['name']}\t{row['folder']}" for row in rows)
    )


@weights.command("list")
def show(as_json: AsJson = False) -> None:
    """List every set of weights, and whether it can be used here."""
    cache_dir = read_settings().cache_dir
    rows = [_row(known, cache_dir) for known in _known().values()]
    lines = [f"{row['name']}\t{'ready' if row['usable'] else row['detail']}" for row in rows]
    typer.echo(json.dumps({"weights": rows}) if as_json else "\n".join(lines))


@weights.command()
def card(name: Name, as_json: AsJson = False) -> None:
    """Show where weights come from, what they learned from, their licence and their limits."""
    found = read_card(_folder(_named(name).name, read_settings().cache_dir))
    if found is None:
        raise WeightsUnusable(f"expected a model card of {name}, got none: run `likeness weights fetch {name}` first")
    typer.echo(json.dumps(asdict(found)) if as_json else as_text(found))


def _named(name: str) -> _Known:
    known = _known()
    if name not in known:
        raise BadInput(f"expected one of {', '.join(known)}, got {name!r}")
    return known[name]


def _folder(name: str, cache_dir: Path) -> Path:
    return cache_dir / "weights" / name


def _row(known: _Known, cache_dir: Path) -> dict[str, str | bool]:
    try:
        known.check(cache_dir)
    except (Unready, WeightsUnusable) as error:
        detail, usable = str(error), False
    else:
        detail, usable = "", True
    return {"name": known.name, "folder": str(_folder(known.name, cache_dir)), "usable": usable, "detail": detail}
