"""Everything that judging needs, in this process: real networks and a real register, the gallery in memory."""

import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from itertools import islice

from streams.adapters.faces.examiner import FaceExaminer
from streams.adapters.images.decode import encode_png
from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.cli.wiring.policies import load_policy
from streams.core.faces import Sighting
from streams.core.subject import Subject
from streams.events import DEFAULT_MODEL
from streams.ports import Services
from streams.settings import Settings
from streams.steps.appraise import appraise
from streams.testing.gallery import InMemoryGallery
from streams.testing.services import services as on_stand_ins
from streams.tools.synthetic import enrol_synthetic
from streams.wheels import Report
from tests.bench.drawn import Asked, DrawingGenerator, asked_of

#: Images that an engine by itself takes at a time: with more it is slower, on two cores.
BATCH = 16

#: What the step is measured on: so many people, and so many samples that should show them.
IDENTITIES, TOGETHER = 12, 64

Sample = tuple[Asked, bytes]
"""Who was asked for, and the encoded image that came."""


@dataclass(frozen=True)
class Seen:
    """What a batch came to."""

    faces: int
    again: int
    """Faces that were embedded a second time, in 32-bit floats."""


@asynccontextmanager
async def peopled(settings: Settings, identities: int, report: Report) -> AsyncIterator[Services]:
    """Open an examiner in 32-bit floats, and enrol so many synthetic people."""
    async with AsyncExitStack() as stack:
        examiner = await opened(settings.model_copy(update={"precision": "fp32"}), stack, report)
        folder = stack.enter_context(tempfile.TemporaryDirectory())
        database = Database(f"sqlite:///{folder}/consent.db")
        await database.open()
        stack.push_async_callback(database.close)
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


async def opened(settings: Settings, stack: AsyncExitStack, report: Report) -> FaceExaminer:
    """Return an open examiner that is closed with the stack."""
    examiner = FaceExaminer(settings, report)
    stack.push_async_callback(examiner.close)
    return await examiner.open()


async def samples(services: Services, count: int, at_a_time: int = 32) -> list[Sample]:
    """Return so many samples, as the demonstration asks for them: ever farther from whom they should show."""
    people = list((await services.gallery.identities(await services.gallery.names())).values())
    asked, drawn = asked_of(people, count), list[Sample]()
    while batch := list(islice(asked, at_a_time)):
        pixels = await services.generator.generate(DEFAULT_MODEL, "1", [one.prompt for one in batch])
        drawn += zip(batch, map(encode_png, pixels), strict=True)
    return drawn


async def judged(services: Services, batch: Sequence[Sample]) -> Seen:
    """Take a batch the whole way, from encoded images to verdicts."""
    seen = await services.examiner.examine([encoded for _, encoded in batch])
    subjects = {one.key: Subject(one.key, "training", "bench", 0, one.identity, DEFAULT_MODEL) for one, _ in batch}
    sightings = {key: one for key, one in zip(subjects, seen, strict=True) if isinstance(one, Sighting)}
    appraised = await appraise(subjects, sightings, services, gallery_version="", examine_ms=0.0)
    faces = {key: one.largest for key, one in sightings.items() if one.largest is not None}
    again = sum(
        one.measurement.precision is None and faces[one.judged.sample_id].rough is not None
        for one in appraised
        if one.judged.sample_id in faces
    )
    return Seen(len(faces), again)
