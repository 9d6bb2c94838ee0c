"""Forgetting somebody on real parts: nothing is left, byte by byte, whoever is cut off, and nobody else is touched."""

import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams import topics
from streams.adapters.images.store import ImageStore
from streams.adapters.ledger.clips.shown import shown
from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.erasures import SqlErasures
from streams.adapters.ledger.samples import SqlLedger
from streams.adapters.milvus.erasure import COPY, OLD, MilvusVectors
from streams.adapters.milvus.gallery import MilvusGallery
from streams.core.consent import Consent
from streams.core.faces import Embedding
from streams.core.gallery import Identity, Origin, Reference, reference_id
from streams.core.similarity import unit
from streams.events import SampleJudged
from streams.ports import Services
from streams.steps import generate, judge
from streams.testing.examiner import STUB_SPACE
from streams.testing.images import picture, png
from streams.testing.interruption import Interrupted, Interruption
from streams.testing.messages import deliver, message, read_back, request, training_sample
from streams.testing.milvus_server import MilvusServer
from streams.testing.services import services as on_stand_ins
from streams.tools.byte_scan import scan
from streams.tools.forget import Places, forget
from tests.charted import Bench, generated

ANNA, BERT = "anna-of-the-tests", "bert-of-the-tests"
# No two numbers of a vector are alike: one that is shifted must not be another.
DIRECTIONS = {
    ANNA: np.array([0.9, 0.11, 0.23, -0.31, 0.42, -0.17, 0.05, 0.36]),
    BERT: np.array([-0.12, 0.81, 0.26, 0.33, -0.07, 0.44, 0.19, -0.28]),
}


@dataclass
class Road:
    """Real parts on a folder, with stand-ins for the networks and the generator."""

    folder: Path
    database: Database
    services: Services
    places: Places

    async def fill(self) -> None:
        """Enrol two people, and have samples of both generated, judged and charted; each verdict names the other, too.

        What was generated are the frames of a clip. Charts also have a longer past, in which similarity falls: alerts
        name samples of both.
        """
        bench = Bench(self.database, self.services.gallery)
        for name, direction in DIRECTIONS.items():
            await self._enrol(name, direction)
        for name in DIRECTIONS:
            clip = {"clip_id": f"clip-{name[0]}", "frame_index": 0, "frames": 3}
            asked = message(request(identity=name, request_id=f"r-{name[0]}", count=3, **clip))
            made = await deliver(generate, [asked], self.services)
            ends = await deliver(judge, list(map(read_back, made)), self.services)
            sample = training_sample(png(picture(DIRECTIONS[name], side=99)), identity=name, run_id=f"run-{name[0]}")
            ends += await deliver(judge, [message(sample)], self.services)
            await bench.read([SampleJudged.model_validate_json(end.value or b"") for end in ends])
        await bench.read(generated(people=(ANNA, BERT)))
        assert {one["identity"] for one in bench.messages("clips.judged")} == {ANNA, BERT}
        assert {moved["identity"] for alert in bench.messages() for moved in alert["moved_by"]} == {ANNA, BERT}

    async def _enrol(self, name: str, direction: Any) -> None:
        references = []
        for side in (90, 91):
            drawn = picture(direction + side / 1000, side=side)
            [seen] = await self.services.examiner.examine([png(drawn)])
            ref = await self.services.images.put(png(drawn))
            vector = seen.largest.embedding
            references.append(Reference(reference_id(name, ref.sha256), name, Origin.SYNTHETIC, ref.sha256, vector))
        middle = unit(np.sum([one.embedding for one in references], axis=0))
        conditioning = {"face_gan": tuple(float(value) for value in middle)}
        await self.services.gallery.enrol(
            Identity(name, Origin.SYNTHETIC, middle, 2, 1.0, False, conditioning), references
        )
        yesterday = datetime.now(UTC) - timedelta(days=1)
        await self.services.consent.grant(name, evidence=f"form of {name}", at=yesterday, expires=None)

    async def seen_of_bert(self) -> list[object]:
        """What others find: searches, references, embeddings, verdicts."""
        probe = unit(DIRECTIONS[BERT].astype(np.float32))
        [near] = await self.services.gallery.search([probe], identities=1, references=2)
        ids = [sample_id for sample_id, identity in (await self._rows()).items() if identity == BERT]
        recalled = await self.services.gallery.recall(ids)
        outcomes = await self.services.ledger.outcomes(ids)
        pictures = [
            await self.services.images.find(one.image_sha256) for one in await self.services.gallery.references(BERT)
        ]
        return [
            near,
            {key: vector.tobytes() for key, vector in recalled.items()},
            {key: outcome.state for key, outcome in outcomes.items()},
            pictures,
        ]

    async def _rows(self) -> dict[str, str]:
        text = "SELECT sample_id, identity FROM sample"
        return await self.database.transact(
            lambda connection: {row.sample_id: row.identity for row in connection.exec_driver_sql(text)}
        )

    async def vectors_of(self, name: str) -> list[Embedding]:
        references = await self.services.gallery.references(name)
        [identity] = (await self.services.gallery.identities([name])).values()
        ids = [sample_id for sample_id, whose in (await self._rows()).items() if whose == name]
        recalled = await self.services.gallery.recall(ids)
        assert len(recalled) == 4
        return [identity.centroid, *(one.embedding for one in references), *recalled.values()]

    def holding(self, *needles: bytes) -> list[str]:
        """The files in which one of these is, whoever may have written it: read by the test itself."""
        files = [path for path in self.folder.rglob("*") if path.is_file()]
        return [str(path) for path in files if any(needle in path.read_bytes() for needle in needles)]

    def pictures(self) -> set[str]:
        files = [path for path in (self.folder / "images").rglob("*") if path.is_file()]
        return {hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@asynccontextmanager
async def road(folder: Path, lite: MilvusServer, kafka: str) -> AsyncIterator[Road]:
    database = Database(f"sqlite:///{folder / 'ledger.db'}")
    await database.open()
    gallery = MilvusGallery(lite.uri, lite.token, STUB_SPACE, timeout_seconds=20)
    await gallery.open(create=True)
    images = ImageStore(str(folder / "images"))
    await images.open(create=True)
    vectors = MilvusVectors(lite.uri, lite.token, 20)
    now = partial(datetime.now, UTC)
    consent = SqlConsentRegister(database)
    services = on_stand_ins(ledger=SqlLedger(database), consent=consent, gallery=gallery, images=images, now=now)
    places = Places(SqlErasures(database), vectors, images, consent, kafka, now, [folder])
    try:
        yield Road(folder, database, services, places)
    finally:
        await vectors.close()
        await gallery.close()
        await database.close()


@pytest.fixture
def own_lite(tmp_path: Path) -> Any:
    """A server with nothing in it but this test's, in the folder that is looked through."""
    folder = tmp_path / "data"
    folder.mkdir()
    server = MilvusServer.lite(folder)
    server.start()
    yield server
    server.stop()


async def test_nothing_is_left_of_whoever_is_forgotten_and_nobody_else_is_touched(
    own_lite: MilvusServer, kafka_with_topics: str
):
    folder = own_lite.folder.parent
    async with road(folder, own_lite, kafka_with_topics) as here:
        await here.fill()
        vectors, before = await here.vectors_of(ANNA), await here.seen_of_bert()
        raw = [vector.astype("<f4").tobytes() for vector in vectors]
        held = here.pictures()
        assert here.holding(*raw), "the scan finds nothing where there is something"
        assert here.holding(ANNA.encode())

        receipt = await forget(ANNA, here.places, verify=True, wait_seconds=5)

        assert (receipt.left, receipt.complete) == ({}, True)
        assert receipt.found["samples"] == 4
        assert receipt.found["charted samples"] == receipt.deleted["charted samples"] == 4 + len(generated()) // 2
        assert receipt.found["clips"] == receipt.deleted["clips"] == 1
        assert [one.clip.identity for one in await shown(here.database)] == [BERT]
        assert receipt.found["images"] == receipt.deleted["images"] == 6  # two references, three made, one trained
        assert (receipt.found["vectors in references"], receipt.found["vectors in samples"]) == (2, 4)
        assert here.holding(ANNA.encode(), *raw) == []
        assert len(held - here.pictures()) == 6
        assert await here.seen_of_bert() == before
        assert await here.services.gallery.names() == [BERT]
        states = await here.services.consent.states([ANNA, BERT], datetime.now(UTC))
        assert states == {ANNA: Consent.MISSING, BERT: Consent.GRANTED}
        kept = {one.what.split()[2]: one.until for one in receipt.remains if one.what.startswith("records on")}
        assert kept.keys() == {topic.name for topic in topics.ALL}
        assert all(until is not None for until in kept.values())

        again = await forget(ANNA, here.places, verify=True, wait_seconds=5)
        assert (again.receipt, again.left, again.complete) == (receipt.receipt, {}, True)
        assert await here.seen_of_bert() == before


async def test_what_is_left_is_told_and_is_no_success(own_lite: MilvusServer, kafka_with_topics: str):
    folder = own_lite.folder.parent
    async with road(folder, own_lite, kafka_with_topics) as here:
        await here.fill()
        [vector, *_] = await here.vectors_of(ANNA)
        (folder / "copy.bin").write_bytes(b"odd" + vector.astype("<f4").tobytes() + ANNA.encode())

        receipt = await forget(ANNA, here.places, verify=True, wait_seconds=5)

        copy = folder / "copy.bin"
        assert receipt.left == {f"vector in {copy}": 1, f"name in {copy}": 1}
        assert not receipt.complete

        copy.unlink()
        assert (await forget(ANNA, here.places, verify=True, wait_seconds=5)).complete


def _cut(places: Places, interruption: Interruption) -> Places:
    """Places of which every call counts, as services do."""
    names = ("erasures", "vectors", "images")
    return replace(places, **{name: interruption.part(name, getattr(places, name)) for name in names})


async def test_whoever_is_cut_off_between_any_two_steps_comes_to_the_same_end(
    own_lite: MilvusServer, kafka_with_topics: str
):
    folder = own_lite.folder.parent
    async with road(folder, own_lite, kafka_with_topics) as here:
        await here.fill()
        before, cut = await here.seen_of_bert(), 0
        raw = [vector.astype("<f4").tobytes() for vector in await here.vectors_of(ANNA)]
        while True:
            # One run is cut off after the other, each a call later than the one before.
            try:
                places = _cut(here.places, Interruption(cut))
                receipt = await forget(ANNA, places, verify=True, wait_seconds=5)
                break
            except Interrupted:
                cut += 1
        assert cut > 12
        assert (receipt.left, receipt.complete, receipt.found["images"]) == ({}, True, 6)
        assert here.holding(ANNA.encode(), *raw) == []
        assert await here.seen_of_bert() == before


@pytest.mark.parametrize("cut", ["while it is copied", "between the renamings", "before the old one is dropped"])
async def test_a_collection_that_was_being_written_anew_is_whole_again(
    own_lite: MilvusServer, kafka_with_topics: str, cut: str
):
    from pymilvus import MilvusClient

    from streams.adapters.milvus.erasure import _copy, _every, _make_like
    from streams.adapters.milvus.rows import Rows

    async with road(own_lite.folder.parent, own_lite, kafka_with_topics) as here:
        await here.fill()
        before = await here.seen_of_bert()
        client = MilvusClient(own_lite.uri)
        rows = Rows(client, 20)
        for one in _every(rows):
            name = one.kept.name
            _make_like(rows, name, name + COPY)
            if cut == "while it is copied":
                continue
            _copy(rows, one, name, name + COPY)
            client.rename_collection(name, name + OLD)
            if cut == "before the old one is dropped":
                client.rename_collection(name + COPY, name)
        client.close()

        await here.places.vectors.erase("nobody", [])

        assert await here.seen_of_bert() == before
        client = MilvusClient(own_lite.uri)
        assert not [name for name in client.list_collections() if name.endswith((COPY, OLD))]
        client.close()


def test_a_scan_passes_over_what_it_is_told_to(tmp_path: Path):
    from streams.core.erasure import Inventory, Search

    for name in ("kafka", "milvus"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "file").write_bytes(ANNA.encode())

    found = scan([tmp_path, tmp_path / "milvus"], Search(ANNA, Inventory()), without=[tmp_path / "kafka"])

    assert (found.files, dict(found.left)) == (1, {f"name in {tmp_path / 'milvus' / 'file'}": 1})
