"""How long a lone request waits for its verdict beyond what making the image takes: one at a time, on a quiet road.

Run it with ``python -m tests.bench.latency``. The parts are embedded ones on a folder of their own, which is deleted at
the end. Of each request is known: when it was published, when its sample and its verdict could be read, and how long
Triton was at it by Triton's own statistics. What is added is all of the road but that last one.
"""

import asyncio
import json
import random
import tempfile
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, aclosing
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles
from typing import Annotated, Any

import typer
from rich.table import Table
from tritonclient.grpc.aio import InferenceServerClient

from streams import topics
from streams.adapters.faces.examiner import FaceExaminer
from streams.cli.terminal.output import console
from streams.cli.terminal.progress import PartsDisplay
from streams.cli.wiring.services import fetch_weights, open_services
from streams.client import Publisher
from streams.embedded import parts
from streams.errors import PartFailed
from streams.events import GenerationRequested, SampleJudged
from streams.kafka.readers import follow
from streams.settings import Settings
from streams.tools.synthetic import enrol_synthetic
from tests.bench.filling import MODEL, requests
from tests.bench.machine import Others, machine
from tests.bench.workers import PATIENCE_SECONDS, working

RESULT = Path(__file__).with_name("results") / "latency.json"
IDENTITIES = 4
#: Requests that are not counted: networks, connections and caches get warm.
WARM = 5
#: Seconds between a verdict and the next request, drawn so that no poll of anybody's is always met in the same phase.
PAUSES = (0.2, 0.7)

#: Written down before the first measurement, in milliseconds: two hops of Kafka (10), some ten transactions of the
#: ledger (30), one image through both networks (40), Milvus (15), the store (5); the rest is for waiting.
EXPECTED = {"p50": 110, "p95": 150}


@dataclass(frozen=True)
class Waited:
    """One request, in seconds."""

    whole: float
    """From its publication until its verdict could be read."""
    sample: float
    """From its publication until its sample could be read."""
    generator: float
    """Triton's own time, waiting in its queue included."""
    examine: float
    search: float
    """By the verdict's timings."""

    @property
    def added(self) -> float:
        """All but the generator's time."""
        return self.whole - self.generator


def main(
    count: Annotated[int, typer.Option("--requests", min=2, help="Requests that are counted.")] = 60,
    output: Annotated[Path, typer.Option(help="Where the result goes.")] = RESULT,
) -> None:
    """Measure what the road adds to a lone request."""
    base = Settings()
    base.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="latency-", dir=base.data_dir) as folder:
        own = {"data_dir": Path(folder) / "data", "policy": "synthetic", "session_timeout_seconds": 10.0}
        # Embedded parts alone: somebody else's topics are no place for a bench.
        embedded = dict.fromkeys(("kafka", "triton", "milvus", "ledger", "images"))
        result = asyncio.run(_bench(base.model_copy(update={**own, **embedded}), count))
    output.parent.mkdir(parents=True, exist_ok=True)
    output.write_text(json.dumps(result, indent=2) + "\n")
    _show(result)
    console.print(f"written to {output}", highlight=False)


async def _bench(settings: Settings, count: int) -> dict[str, Any]:
    about = machine()
    async with AsyncExitStack() as stack:
        with PartsDisplay() as display:
            started = await stack.enter_async_context(parts.start(settings, report=display.tell, weights=fetch_weights))
        settings = started.running.fill(settings)
        people = await _enrolled(settings)
        for role in ("generate", "judge"):
            await stack.enter_async_context(working(settings, role))
        others = Others()
        waited = await _ask(settings, requests(people, WARM + count, "lone"))
        busy = others.cores()
    return {
        "requests": count,
        "batch_wait_seconds": settings.batch_wait_seconds,
        "threads": settings.threads,
        "expected_ms": EXPECTED,
        "added_ms": _milliseconds([one.added for one in waited]),
        "whole_ms": _milliseconds([one.whole for one in waited]),
        "generator_ms": _milliseconds([one.generator for one in waited]),
        "until_sample_ms": _milliseconds([one.sample for one in waited]),
        "from_sample_ms": _milliseconds([one.whole - one.sample for one in waited]),
        "examine_ms": _milliseconds([one.examine for one in waited]),
        "search_ms": _milliseconds([one.search for one in waited]),
        "others_cores": round(busy, 2),
        "machine": about,
    }


async def _enrolled(settings: Settings) -> list[str]:
    """Enrol people with networks that are gone again afterwards: the workers are to have the machine."""
    examiner = FaceExaminer(settings, report=console.print)
    try:
        await examiner.open()
        async with open_services(settings, examiner, create_gallery=True) as services:
            return await enrol_synthetic(IDENTITIES, services, model=MODEL)
    finally:
        await examiner.close()


async def _ask(settings: Settings, asked: Sequence[GenerationRequested]) -> list[Waited]:
    """Ask one by one; return what is counted."""
    pauses, kafka = random.Random(1), settings.address("kafka")
    names = [topic.name for topic in (topics.GENERATION_SAMPLES, *topics.ENDS)]
    triton = InferenceServerClient(settings.address("triton"))
    waited = []
    try:
        async with Publisher(kafka) as publisher, aclosing(follow(kafka, *names, from_beginning=True)) as records:
            for request in asked:
                await asyncio.sleep(pauses.uniform(*PAUSES))
                before = await _generator_seconds(triton)
                began = time.perf_counter()
                await publisher.request(request)
                sampled, ended, judged = await _followed(records)
                generator = await _generator_seconds(triton) - before
                times = judged.timings_ms
                waited.append(
                    Waited(ended - began, sampled - began, generator, times["examine"] / 1000, times["search"] / 1000)
                )
    finally:
        await triton.close()
    return waited[WARM:]


async def _followed(records: AsyncIterator[Any]) -> tuple[float, float, SampleJudged]:
    """Wait for the next sample and its verdict; return when each came, and the verdict.

    Raises:
        PartFailed: If nothing comes, or something else.
    """
    try:
        async with asyncio.timeout(PATIENCE_SECONDS):
            sample = await anext(records)
            sampled = time.perf_counter()
            end = await anext(records)
    except TimeoutError as error:
        raise PartFailed(f"expected a sample and its verdict, nothing came for {PATIENCE_SECONDS:g} s") from error
    ended = time.perf_counter()
    if sample.topic != topics.GENERATION_SAMPLES.name or end.topic == topics.DEAD_LETTERS.name or sample.key != end.key:
        raise PartFailed(f"expected a sample and its verdict, got records on {sample.topic} and {end.topic}")
    return sampled, ended, SampleJudged.model_validate_json(end.value)


async def _generator_seconds(triton: InferenceServerClient) -> float:
    """Return the time that the server was at requests for the model so far, by its own count."""
    said = await triton.get_inference_statistics(MODEL)
    return sum(int(one.inference_stats.success.ns) for one in said.model_stats) / 1e9


def _milliseconds(seconds: Sequence[float]) -> dict[str, Any]:
    cuts = quantiles(seconds, n=100, method="inclusive")
    rounded = [round(one * 1000, 1) for one in seconds]
    return {
        "p50": round(cuts[49] * 1000, 1),
        "p95": round(cuts[94] * 1000, 1),
        "least": min(rounded),
        "most": max(rounded),
        "all": rounded,
    }


def _show(result: dict[str, Any]) -> None:
    table = Table("ms", "p50", "p95", "least", "most", title="one request at a time")
    for name, row in result.items():
        if name.endswith("_ms") and name != "expected_ms":
            numbers = (f"{row[key]:.1f}" for key in ("p50", "p95", "least", "most"))
            table.add_row(name.removesuffix("_ms").replace("_", " "), *numbers)
    expected = result["expected_ms"]
    table.add_row("expected to be added", str(expected["p50"]), str(expected["p95"]), "", "")
    console.print(table)
    console.print(f"other programs took {result['others_cores']} cores", highlight=False)


if __name__ == "__main__":
    typer.run(main)
