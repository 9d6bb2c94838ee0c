"""Verdicts through the int8 cascade against verdicts in 32-bit floats: every sample is judged both ways.

``python -m tests.bench.precision --samples 10000`` needs no server: the gallery is in memory, and everything else is
what a worker runs. It prints what came of it as JSON. Milliseconds depend on the machine; flips must not.
"""

import argparse
import asyncio
import json
import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import islice

from streams.adapters.consent import SqlConsentRegister
from streams.adapters.database import Database
from streams.adapters.decode import encode_png
from streams.adapters.faces import FaceExaminer
from streams.adapters.ledger import SqlLedger
from streams.cli.wiring import load_policy
from streams.core.faces import Sighting
from streams.core.subject import Subject
from streams.events import DEFAULT_MODEL
from streams.ports import Services
from streams.settings import Settings, read_settings
from streams.steps.appraise import Appraised, appraise
from streams.testing.gallery import InMemoryGallery
from streams.testing.services import services as on_stand_ins
from streams.tools.synthetic import enrol_synthetic
from streams.wheels import Report, silent
from tests.bench.drawn import Asked, DrawingGenerator, asked_of
from tests.bench.flips import Flips

BATCH = 16
IDENTITIES = 40


@asynccontextmanager
async def peopled(settings: Settings, identities: int = IDENTITIES) -> AsyncIterator[Services]:
    """Open a worker's examiner in both precisions, and enrol synthetic people in a gallery in memory."""
    async with _examining(settings) as examiner:
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
    """Judge so many samples three ways: in 32-bit floats, through the cascade, and in 8-bit integers alone."""
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


@asynccontextmanager
async def _examining(settings: Settings) -> AsyncIterator[FaceExaminer]:
    examiner = FaceExaminer(settings.model_copy(update={"precision": "int8"}), report=_tell)
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


async def _run(samples: int) -> dict[str, object]:
    async with peopled(read_settings()) as services:
        return (await compare(services, samples, _tell)).summary()


def main() -> None:
    """Compare, print, and end with 1 where a verdict changed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--samples", type=int, default=10_000)
    summary = asyncio.run(_run(parser.parse_args().samples))
    print(json.dumps(summary, indent=2))
    sys.exit(1 if summary["verdicts changed by the cascade"] else 0)


if __name__ == "__main__":
    main()
