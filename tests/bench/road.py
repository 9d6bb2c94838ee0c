"""How much of the bare engine's speed is left on the whole road: both measured in one run, in turns.

Run it with ``make bench``. The parts are embedded ones on a folder of their own, which is deleted at the end.
"""

import asyncio
import json
import os
import signal
import sys
import tempfile
from collections.abc import Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from statistics import mean
from typing import Annotated, Any

import typer

from streams.adapters.faces import FaceExaminer
from streams.cli.output import Json, console, emit
from streams.cli.progress import PartsDisplay
from streams.cli.wiring import fetch_weights, open_services
from streams.embedded import parts
from streams.errors import LikenessError
from streams.ports import Services
from streams.settings import Settings
from streams.tools.synthetic import enrol_synthetic
from tests.bench.anatomy import BATCHES, anatomy
from tests.bench.filling import MODEL, fill
from tests.bench.machine import machine
from tests.bench.measuring import Round, bare, road
from tests.bench.rates import engine_share, rate, ratio, summary
from tests.bench.shown import show

IDENTITIES = 12
RESULT = Path(__file__).with_name("results") / "road.json"

#: What a prototype of the same road gave on two cores, before this was written: verdicts and bare samples per second.
EXPECTED = {"road": "27-30", "bare": "30", "ratio": "0.9-1.0", "engine_share": "0.97"}


def main(
    samples: Annotated[int, typer.Option(min=33, help="Samples a round: three batches or more.")] = 600,
    rounds: Annotated[
        int, typer.Option(min=1, help="Rounds of the road; the bare engine runs before and after each.")
    ] = 3,
    threads: Annotated[int, typer.Option(min=1, help="Compute threads, of the engine and of the worker.")] = 2,
    output: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
    as_json: Json = False,
) -> None:
    """Measure the road against the bare engine."""
    base = Settings()
    base.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base.data_dir) as folder:
        settings = base.model_copy(
            update={
                "data_dir": Path(folder) / "data",
                "policy": "synthetic",
                "session_timeout_seconds": 10.0,
                "threads": threads,
                # Embedded parts alone: somebody else's topics are no place for a bench.
                **dict.fromkeys(("kafka", "triton", "milvus", "ledger", "images")),
            }
        )
        try:
            result = asyncio.run(_terminable(settings, samples, rounds))
        except (LikenessError, ValueError) as error:
            console.print(f"bench: {error}", style="bold red", highlight=False, markup=False)
            sys.exit(1)
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2, ensure_ascii=False) + "\n")
    show(result)
    console.print(f"written to {output}", highlight=False)
    if as_json:
        emit(result)


async def _terminable(settings: Settings, samples: int, rounds: int) -> dict[str, Any]:
    """Run the bench; SIGTERM ends it in order, like Ctrl-C, so that whatever it started is ended."""
    task = asyncio.ensure_future(_bench(settings, samples, rounds))
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        console.print("interrupted; everything that was started has ended")
        raise SystemExit(130) from None


async def _bench(settings: Settings, samples: int, rounds: int) -> dict[str, Any]:
    about = machine()
    async with AsyncExitStack() as stack:
        examiner = FaceExaminer(settings, report=console.print)
        stack.push_async_callback(examiner.close)
        await examiner.open()
        with PartsDisplay() as display:
            started = await stack.enter_async_context(parts.start(settings, report=display.tell, weights=fetch_weights))
        settings = started.running.fill(settings)
        services = await stack.enter_async_context(open_services(settings, examiner, create_gallery=True))
        measured = await _measure(settings, services, samples, rounds)
    about["load_after"] = round(os.getloadavg()[0], 2)
    asked = {
        "samples": samples,
        "rounds": rounds,
        "identities": IDENTITIES,
        "batch_size": settings.batch_size,
        "threads": settings.threads,
        "embedder": settings.embedder,
    }
    return {**asked, **measured, "expected": EXPECTED, "machine": about}


async def _measure(settings: Settings, services: Services, samples: int, rounds: int) -> dict[str, Any]:
    """Run bare, road, bare, road … bare; then take some batches apart."""
    people = await enrol_synthetic(IDENTITIES, services, model=MODEL)
    filled = await fill(settings, services, people, samples, "round-1")
    bares, roads = [_told("bare", await bare(services, filled.images, settings.batch_size))], list[Round]()
    for number in range(1, rounds + 1):
        name = f"round-{number}"
        if number > 1:
            filled = await fill(settings, services, people, samples, name)
        roads.append(_told("road", await road(settings, samples, name)))
        bares.append(_told("bare", await bare(services, filled.images, settings.batch_size)))
    apart = await fill(settings, services, people, min(samples, (BATCHES + 1) * settings.batch_size), "apart")
    of_road, of_bare = _summary(roads), _summary(bares)
    sizes = [batch.samples for one in roads for batch in one.batches]
    of_road |= {
        "unit": "verdicts/s",
        "mean_batch": round(mean(sizes), 2),
        "batch_ms": round(1000 * mean(sizes) / of_road["median"], 1),
        "engine_share": summary([engine_share(one.batches) for one in roads]),
    }
    return {
        "ratio": ratio(of_road["rounds"], of_bare["rounds"]),
        "road": of_road,
        "bare": of_bare | {"unit": "samples/s"},
        "batch": await anatomy(settings, services, apart.messages),
    }


def _summary(rounds: Sequence[Round]) -> dict[str, Any]:
    others = [round(one.others_cores, 2) for one in rounds]
    return {**summary([rate(one.batches) for one in rounds]), "others_cores": others}


def _told(what: str, one: Round) -> Round:
    console.print(
        f"{what}: {rate(one.batches):.1f}/s in {len(one.batches)} batches; other programs took"
        f" {one.others_cores:.1f} cores",
        highlight=False,
    )
    return one


if __name__ == "__main__":
    typer.run(main)
