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
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Any

from streams.adapters import engines
from streams.adapters.consent import SqlConsentRegister
from streams.adapters.database import Database
from streams.adapters.decode import encode_png
from streams.adapters.faces import FaceExaminer
from streams.adapters.ledger import SqlLedger
from streams.adapters.precision import FAST, LOOKED_AT_AGAIN
from streams.adapters.self_check import known_crops
from streams.cli.wiring import load_policy
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

BATCH = 16
IDENTITIES = 40
ROUNDS = 15

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
    async with _examining(settings.model_copy(update={"precision": precision})) as examiner:
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
    people = list((await services.gallery.identities(await services.gallery.names())).values())
    everything, flips = asked_of(people, samples), Flips()
    while batch := list(islice(everything, BATCH)):
        pixels = await services.generator.generate(DEFAULT_MODEL, "1", [one.prompt for one in batch])
        seen = await services.examiner.examine([encode_png(each) for each in pixels])
        sightings = {asked.key: one for asked, one in zip(batch, seen, strict=True) if isinstance(one, Sighting)}
        exact = dict(zip(sightings, await services.examiner.look_again(list(sightings.values())), strict=True))
        alone = {key: _trusted(one) for key, one in sightings.items()}
        judged = [await _appraised(batch, one, services) for one in (exact, sightings, alone)]
        for three in zip(*judged, strict=True):
            flips.add(*three)
        if flips.judged // 1000 > (flips.judged - len(judged[0])) // 1000:
            report(f"{flips.judged} judged, {len(flips.changed)} changed")
    return flips


def timed(settings: Settings, precisions: Sequence[Precision], rounds: int = ROUNDS) -> dict[str, Any]:
    """Embed the same batch of faces in every precision in turns; return milliseconds a face."""
    exact = engines.load(settings)
    faces = exact.normalised(known_crops(exact.detect).repeat(BATCH // 4, axis=0))
    embedders = {"fp32": exact.embed} | {name: FAST[name](settings, exact, silent).embed for name in precisions}
    others, spent = Others(), {name: list[float]() for name in embedders}
    for number in range(rounds + 1):  # the first one warms up
        for name, embed in embedders.items():
            began = time.perf_counter()
            embed(faces)
            if number:
                spent[name].append((time.perf_counter() - began) * 1000 / len(faces))
    figures = {name: {"median": round(median(ms), 2), "least": round(min(ms), 2)} for name, ms in spent.items()}
    with_both = {
        name: figures[name]["median"] + LOOKED_AT_AGAIN[name] * figures["fp32"]["median"] for name in precisions
    }
    return {
        "alone": figures,
        "with the second look, as the choice counts": {name: round(ms, 2) for name, ms in with_both.items()},
        "batch": BATCH,
        "threads": settings.threads,
        "rounds": rounds,
        "cores that other programs took": round(others.cores(), 2),
    }


@asynccontextmanager
async def _examining(settings: Settings) -> AsyncIterator[FaceExaminer]:
    examiner = FaceExaminer(settings, report=_tell)
    try:
        yield await examiner.open()
    finally:
        await examiner.close()


async def _appraised(batch: Sequence[Asked], sightings: Mapping[str, Sighting], services: Services) -> list[Appraised]:
    subjects = {one.key: Subject(one.key, "training", "bench", 0, one.identity, DEFAULT_MODEL) for one in batch}
    return await appraise(subjects, sightings, services, gallery_version="", examine_ms=0.0)


def _trusted(sighting: Sighting) -> Sighting:
    """Return a rough sighting as if it were exact: nothing is looked at again."""
    face = sighting.largest
    return sighting if face is None else replace(sighting, largest=replace(face, rough=None))


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


async def _run(precisions: Sequence[Precision], samples: int) -> dict[str, Any]:
    settings = read_settings()
    releases = {name: importlib.metadata.version(name) for name in ("onnxruntime", "openvino")}
    result: dict[str, Any] = {"machine": machine(), "engines": releases, "expected": EXPECTED}
    for precision in precisions:
        _tell(f"{precision}: {samples} samples")
        async with peopled(settings, precision=precision) as services:
            result[precision] = (await compare(services, samples, _tell)).summary()
    return result | {"ms a face": timed(settings, precisions)}


def main() -> None:
    """Compare, print, and end with 1 where a verdict changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    parser.add_argument("--precisions", nargs="+", choices=list(FAST), default=list(FAST))
    parser.add_argument("--output", type=Path, help="a file for the result, besides standard output")
    asked = parser.parse_args()
    result = asyncio.run(_run(asked.precisions, asked.samples))
    text = json.dumps(result, indent=2)
    print(text)
    if asked.output:
        asked.output.write_text(text + "\n", encoding="utf-8")
    sys.exit(1 if any(result[precision]["changed"] for precision in asked.precisions) else 0)


if __name__ == "__main__":
    main()
