"""Where mutants are tried: one trial after the other on topics that are made anew, each with a ledger of its own."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

import numpy as np
from aiokafka.admin import AIOKafkaAdminClient

from streams import topics
from streams.adapters.images.store import ImageStore
from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.adapters.milvus.gallery import MilvusGallery
from streams.client import Publisher
from streams.core.ids import training_sample_id
from streams.embedded import kafka_topics
from streams.events import ImageRef, TrainingSamplePublished, to_json
from streams.testing.examiner import STUB_SPACE
from streams.testing.images import DIMENSION, picture, png
from streams.testing.milvus_server import MilvusServer
from streams.testing.services import enrol, policy, services
from tests.faults.manifest import Manifest, Trained
from tests.faults.mutations.trial import LENIENT, SAMPLES, STRICT, Trial
from tests.plain_kafka import plain_kafka

_WHO = "anna"
#: Of every sample to whom it shows: between both policies' limits.
_SIMILARITY = 0.8

#: A worker's session may be shorter than a broker usually allows.
_PROPERTIES = {"group.min.session.timeout.ms": "1000"}
_CALL_SECONDS = 30.0
_LOOK_SECONDS = 0.05


@asynccontextmanager
async def milvus(folder: Path) -> AsyncIterator[str]:
    """Run a Milvus in which one person is enrolled; yield its address."""
    await asyncio.to_thread(partial(folder.mkdir, parents=True))
    server = MilvusServer.lite(folder)
    await asyncio.to_thread(server.start)
    gallery = MilvusGallery(server.uri, server.token, STUB_SPACE, timeout_seconds=_CALL_SECONDS)
    try:
        await gallery.open(create=True)
        await _peopled(f"sqlite:///{folder / 'ledger.db'}", gallery)
        yield server.uri
    finally:
        await gallery.close()
        await asyncio.to_thread(server.stop)


async def _peopled(ledger: str, gallery: MilvusGallery | None = None) -> None:
    """Have somebody agree to be generated: consent is a part of the ledger. Enrol them where a gallery is given."""
    database = Database(ledger)
    await database.open()
    consent = SqlConsentRegister(database)
    try:
        if gallery is None:
            await consent.grant(_WHO, evidence="a test", at=datetime.now(UTC), expires=None)
        else:
            now = partial(datetime.now, UTC)
            everything = services(ledger=SqlLedger(database), consent=consent, gallery=gallery, now=now)
            await enrol(everything, _WHO, [1.0, *[0.0] * (DIMENSION - 1)])
    finally:
        await database.close()


@dataclass
class Bench:
    """One broker, on which trials take turns."""

    kafka: str
    milvus: str
    folder: Path
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    @classmethod
    @asynccontextmanager
    async def running(cls, folder: Path, milvus: str) -> "AsyncIterator[Bench]":
        """Run a broker until left."""
        await asyncio.to_thread(partial(folder.mkdir, parents=True))
        server = plain_kafka(folder, _PROPERTIES)
        address = await asyncio.to_thread(server.__enter__)
        try:
            yield cls(address, milvus, folder)
        finally:
            await asyncio.to_thread(server.__exit__, None, None, None)

    @asynccontextmanager
    async def trial(self, mutant: str, scenario: str) -> AsyncIterator[Trial]:
        """Make topics, a ledger and a group, ask for samples, and have commits watched until left."""
        number = next(self._numbers)
        folder = self.folder / f"{number:02d}-{mutant}-{scenario}"
        folder.mkdir()
        await self._new_topics()
        ledger, images = f"sqlite:///{folder / 'ledger.db'}", folder / "images"
        await _peopled(ledger)
        policies = [policy(similarity=limit).version for limit in (LENIENT, STRICT)]
        manifest = Manifest(self.kafka, ledger, str(images), self.milvus, f"trial-{number}", policies=policies)
        await self._ask(manifest, run_id=f"{self.folder.name}-{number}")
        trial = Trial(mutant, folder, manifest)
        with trial.watched():
            yield trial

    async def _new_topics(self) -> None:
        names = [topic.name for topic in topics.ALL]
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        try:
            await admin.start()
            there = set(await admin.list_topics()) & set(names)
            if there:
                await admin.delete_topics(sorted(there))
            async with asyncio.timeout(_CALL_SECONDS):
                while set(await admin.list_topics()) & set(names):  # noqa: ASYNC110 - Kafka tells nobody
                    await asyncio.sleep(_LOOK_SECONDS)
        finally:
            await admin.close()
        await kafka_topics.create(self.kafka)

    async def _ask(self, manifest: Manifest, run_id: str) -> None:
        """Publish training samples whose images lie in the store: no message brings any."""
        store = ImageStore(manifest.images)
        await store.open(create=True)
        refs = [await store.put(encoded) for encoded in _pictures(SAMPLES)]
        async with Publisher(self.kafka) as publisher:
            for index, image in enumerate(refs):
                await _publish(publisher, run_id, index, image)
                manifest.training.append(Trained(run_id, 1, index, _WHO, "gan", acknowledged=True))


async def _publish(publisher: Publisher, run_id: str, index: int, image: ImageRef) -> None:
    body = TrainingSamplePublished(run_id=run_id, step=1, index=index, identity=_WHO, model="gan", image=image)
    key = training_sample_id(run_id, 1, index).encode()
    await publisher.raw(topics.TRAINING_SAMPLES.name, to_json(body), key)


def _pictures(count: int) -> Sequence[bytes]:
    """Draw pictures, all different, that resemble the person by the same similarity."""
    draw = np.random.default_rng(20300101)
    drawn = []
    for _ in range(count):
        away = draw.standard_normal(DIMENSION - 1)
        away *= np.sqrt(1 - _SIMILARITY**2) / np.linalg.norm(away)
        drawn.append(png(picture([_SIMILARITY, *away])))
    return drawn
