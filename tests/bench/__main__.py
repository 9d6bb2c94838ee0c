"""``make bench``: measure everything in one run, say what was expected beside what came, and write it down."""

import asyncio
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from streams.cli.terminal.output import Json, console, emit
from streams.errors import BadInput, LikenessError
from tests.bench.configurations import Configuration, known
from tests.bench.machine import machine
from tests.bench.page import publish, require_whole
from tests.bench.shown import show
from tests.bench.standing import bench_settings, terminable
from tests.bench.suite import FULL, PARTS, QUICK, measure

RESULT = Path(__file__).with_name("results") / "bench.json"


def main(
    only: Annotated[str, typer.Option(help=f"Some parts alone, with commas: {','.join(PARTS)}.")] = ",".join(PARTS),
    quick: Annotated[bool, typer.Option("--quick", help="Less of everything: minutes.")] = False,
    rounds: Annotated[int | None, typer.Option(min=1, help="Rounds of everything; five where not quick.")] = None,
    samples: Annotated[int | None, typer.Option(min=65, help="Samples a round on the road: three batches up.")] = None,
    configuration: Annotated[
        list[str] | None, typer.Option(help="Some pairs of engine and precision alone, such as 'onnxruntime fp32'.")
    ] = None,
    threads: Annotated[int, typer.Option(min=1, help="Compute threads, but of two workers, which have one each.")] = 2,
    output: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
    folder: Annotated[
        Path | None, typer.Option("--publish", help="Write PERFORMANCE.md with its plot into this folder.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Measure Likeness: its networks, the step, the whole road, workers, galleries."""
    size = QUICK if quick else FULL
    if rounds is not None:
        size = replace(size, rounds=rounds)
    if samples is not None:
        size = replace(size, of_road=samples)
    about = machine()
    try:
        parts, configurations = _parts(only), _configurations(configuration)
        if folder is not None:
            require_whole(quick, parts)
        with bench_settings(threads) as settings:
            result = asyncio.run(terminable(measure(settings, configurations, parts, size, _tell)))
    except LikenessError as error:
        _tell(f"bench: {error}")
        sys.exit(1)
    about["load_after"] = round(os.getloadavg()[0], 2)
    result = {**result, "quick": quick, "rounds": size.rounds, "machine": about}
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    show(result)
    _tell(f"written to {output}")
    if folder is not None:
        _tell(f"written to {publish(result, folder)}")
    if as_json:
        emit(result)


def _parts(only: str) -> list[str]:
    if unknown := sorted(set(only.split(",")) - set(PARTS)):
        raise BadInput(f"expected parts of {', '.join(PARTS)}, got {', '.join(unknown)}")
    return only.split(",")


def _configurations(names: list[str] | None) -> list[Configuration]:
    by_name = {one.name: one for one in known()}
    if unknown := sorted(set(names or ()) - set(by_name)):
        raise BadInput(f"expected configurations of {', '.join(by_name)}, got {', '.join(unknown)}")
    return [by_name[name] for name in names or by_name]


def _tell(line: str) -> None:
    console.print(line, highlight=False, markup=False)


if __name__ == "__main__":
    typer.run(main)
