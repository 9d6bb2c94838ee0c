"""Verdicts through the cascade against verdicts in 32-bit floats: every sample is judged both ways, in every precision.

``python -m tests.bench.precision --samples 10000`` needs no server: the gallery is in memory, and everything else is
what a worker runs. It prints what came of it as JSON, beside what was expected, and ends with 1 where a verdict
changed. Milliseconds depend on the machine; flips must not.
"""

import argparse
import asyncio
import importlib.metadata
import json
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from streams.adapters.engines import chosen as engines
from streams.adapters.engines.self_check import known_crops
from streams.adapters.faces.examiner import FaceExaminer
from streams.adapters.images.decode import encode_png
from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.adapters.precision.choice import FAST
from streams.cli.wiring.policies import load_policy
from streams.core.faces import Sighting
from streams.core.subject import Subject
from streams.events import DEFAULT_MODEL, Precision
from streams.ports import Services
from streams.settings import Settings, read_settings
from streams.steps.appraise import Appraised, appraise
from streams.testing.gallery import InMemoryGallery
from streams.testing.services import services as on_stand_ins
from streams.tools.synthetic import enrol_synthetic
from streams.wheels import Report, silent
from tests.bench.drawn import Asked, DrawingGenerator, asked_of
from tests.bench.flips import Flips
from tests.bench.machine import Others, machine
from tests.bench.stage import BATCH

IDENTITIES = 40
ROUNDS = 15
#: How it goes is told, and kept, every so many samples.
TELL_EVERY = 500

#: Written down before the first run of this length: from single measurements of the networks on two cores of a Zen 4
#: server processor, and of 480 samples. The cascade is meant to change nothing.
EXPECTED = {
    "bf16": {"verdicts changed by the cascade": 0, "looked at again": 0.05, "decisions changed by it alone": 5},
    "int8": {"verdicts changed by the cascade": 0, "looked at again": 0.4, "decisions changed by it alone": 40},
    "ms a face": {"fp32": 13.5, "bf16": 7.7, "int8": 4.3},
}


@asynccontextmanager
async def peopled(
    settings: Settings, identities: int = IDENTITIES, precision: Precision = "int8"
) -> AsyncIterator[Services]:
    """Open a worker's examiner in that precision, and enrol synthetic people in a gallery in memory."""
    async with _examining(settings, precision) as examiner:
        with tempfile.TemporaryDirectory() as folder:
            database = Database(f"sqlite:///{folder}/consent.db")
            await database.open()
            services = on_stand_ins(
                ledger=SqlLedger(database),
                consent=SqlConsentRegister(database),
                examiner=examiner,
                gallery=InMemoryGallery(examiner.space),
                generator=DrawingGenerator(settings.cache_dir),
                policy=load_policy("synthetic"),
            )
            await enrol_synthetic(identities, services, model=DEFAULT_MODEL)
            yield services
            await database.close()


async def compare(services: Services, samples: int, report: Report = silent) -> Flips:
    """Judge so many samples three ways: in 32-bit floats, through the cascade, and in the shorter numbers alone."""
    flips = Flips()
    async for (flips,) in compare_each([services], samples):
        if flips.judged % TELL_EVERY < BATCH:
            report(f"{flips.judged} judged, {len(flips.changed)} changed")
    return flips


async def compare_each(every: Sequence[Services], samples: int) -> AsyncIterator[list[Flips]]:
    """Do so with every one's examiner, on the same samples; one fp32 serves them all.

    What was counted is given after every batch: a run that is broken off has a result too.
    """
    people = list((await every[0].gallery.identities(await every[0].gallery.names())).values())
    everything, counted = asked_of(people, samples), [Flips() for _ in every]
    while batch := list(islice(everything, BATCH)):
        pixels = await every[0].generator.generate(DEFAULT_MODEL, "1", [one.prompt for one in batch])
        encoded = [encode_png(each) for each in pixels]
        exact: list[Appraised] = []
        for services, flips in zip(every, counted, strict=True):
            seen = await services.examiner.examine(encoded)
            sightings = {asked.key: one for asked, one in zip(batch, seen, strict=True) if isinstance(one, Sighting)}
            exact = exact or await _appraised(batch, await _exactly(sightings, services), services)
            cascade = await _appraised(batch, sightings, services)
            alone = await _appraised(batch, {key: _trusted(one) for key, one in sightings.items()}, services)
            for three in zip(exact, cascade, alone, strict=True):
                flips.add(*three)
        yield counted


def timed(settings: Settings, precisions: Sequence[Precision], rounds: int = ROUNDS) -> dict[str, Any]:
    """Embed the same batch of faces in every precision in turns; return milliseconds a face.

    What the processor spends is told too: it hardly depends on what else the machine does.
    """
    exact = engines.load(settings)
    faces = exact.normalised(known_crops(exact.detect).repeat(BATCH // 4, axis=0))
    embedders = {"fp32": exact.embed} | {name: FAST[name](settings, exact, silent).embed for name in precisions}
    others, spent = Others(), {name: list[float]() for name in embedders}
    processor = {name: list[float]() for name in embedders}
    for number in range(rounds + 1):  # the first one warms up
        for name, embed in embedders.items():
            began, worked = time.perf_counter(), time.process_time()
            embed(faces)
            if number:
                spent[name].append((time.perf_counter() - began) * 1000 / len(faces))
                processor[name].append((time.process_time() - worked) * 1000 / len(faces))
    figures = {
        name: {
            "median": round(median(spent[name]), 2),
            "least": round(min(spent[name]), 2),
            "of the processor": round(median(processor[name]), 2),
        }
        for name in embedders
    }
    return {
        **figures,
        "batch": BATCH,
        "threads": settings.threads,
        "rounds": rounds,
        "cores that other programs took": round(others.cores(), 2),
    }


@asynccontextmanager
async def _examining(settings: Settings, precision: Precision) -> AsyncIterator[FaceExaminer]:
    examiner = FaceExaminer(settings.model_copy(update={"precision": precision}), report=_tell)
    try:
        yield await examiner.open()
    finally:
        await examiner.close()


async def _exactly(sightings: Mapping[str, Sighting], services: Services) -> dict[str, Sighting]:
    return dict(zip(sightings, await services.examiner.look_again(list(sightings.values())), strict=True))


async def _appraised(batch: Sequence[Asked], sightings: Mapping[str, Sighting], services: Services) -> list[Appraised]:
    subjects = {one.key: Subject(one.key, "training", "bench", 0, one.identity, DEFAULT_MODEL) for one in batch}
    return await appraise(subjects, sightings, services, gallery_version="", examine_ms=0.0)


def _trusted(sighting: Sighting) -> Sighting:
    """Return a rough sighting as if it were exact: nothing is looked at again."""
    face = sighting.largest
    return sighting if face is None else replace(sighting, largest=replace(face, rough=None))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _counted(precisions: Sequence[Precision], samples: int, keep: Callable[[dict[str, Any]], None]) -> None:
    settings = read_settings()
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(peopled(settings, precision=precisions[0]))
        others = [await stack.enter_async_context(_examining(settings, precision)) for precision in precisions[1:]]
        every = [first, *(replace(first, examiner=examiner) for examiner in others)]
        _tell(f"{samples} samples in {', '.join(precisions)}")
        counted: list[Flips] = []
        async for counted in compare_each(every, samples):
            if counted[0].judged % TELL_EVERY < BATCH:
                keep(_summaries(precisions, counted))
                _tell(f"{counted[0].judged} judged, {[len(flips.changed) for flips in counted]} changed")
    keep(_summaries(precisions, counted))


def _summaries(precisions: Sequence[Precision], counted: Sequence[Flips]) -> dict[str, Any]:
    return {precision: flips.summary() for precision, flips in zip(precisions, counted, strict=True)}


def main() -> None:
    """Compare, time, print, and end with 1 where a verdict changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000, help="0: only the times")
    parser.add_argument("--precisions", nargs="+", choices=list(FAST), default=list(FAST))
    parser.add_argument("--output", type=Path, help="a file for the result; what it holds of earlier runs stays")
    asked = parser.parse_args()
    releases = {name: importlib.metadata.version(name) for name in ("onnxruntime", "openvino")}
    result: dict[str, Any] = {"expected": EXPECTED, "machine": machine(), "engines": releases}
    before = json.loads(asked.output.read_bytes()) if asked.output and asked.output.is_file() else {}

    def keep(found: dict[str, Any]) -> None:
        result.update(found)
        if asked.output:
            asked.output.write_text(json.dumps(before | result, indent=2) + "\n", encoding="utf-8")

    if asked.samples:
        asyncio.run(_counted(asked.precisions, asked.samples, keep))
    keep({"ms a face": timed(read_settings(), asked.precisions)})
    print(json.dumps(result, indent=2))
    sys.exit(1 if any(result[name]["changed"] for name in asked.precisions if name in result) else 0)


if __name__ == "__main__":
    main()
