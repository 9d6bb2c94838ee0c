"""Agents on a real Kafka and ledger, with stand-ins for all that sees: what is delivered, what committed, what ends."""

import asyncio
import os
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType

from streams import topics
from streams.adapters.images.store import ImageStore
from streams.client import Publisher
from streams.core.ids import training_sample_id
from streams.events import GenerationRequested, ImageRef
from streams.processes.child import Child
from streams.runtime.backlog import Backlog
from streams.runtime.watchdog import STUCK_STATUS
from streams.testing.images import picture, png
from streams.testing.messages import TRACE
from streams.tools.audit.count import audit
from streams.topics import Topic

WORKER = Path(__file__).with_name("stand_in_worker.py")
ANNA = png(picture([1, 0, 0, 0, 0, 0, 0, 0]))
TROUBLE = png(picture([0, 0, 0, 0, 0, 0, 0, 1]))
BATCH = 4


@dataclass
class Bench:
    """One broker, one ledger, one group, and workers that are started and looked at."""

    kafka: str
    folder: Path

    @property
    def ledger(self) -> str:
        return f"sqlite:///{self.folder}/ledger.db"

    @property
    def group(self) -> str:
        """A group of its own: members that another test killed still belong to theirs."""
        return self.folder.name

    @contextmanager
    def worker(self, trouble: str = "works", role: str = "judge", **env: str) -> Iterator[Child]:
        own = {
            "LIKENESS_KAFKA": self.kafka,
            "LIKENESS_LEDGER": self.ledger,
            "LIKENESS_GROUP": self.group,
            "LIKENESS_IMAGES": str(self.folder / "images"),
            "LIKENESS_DATA_DIR": str(self.folder),
            "LIKENESS_BATCH_SIZE": str(BATCH),
            "LIKENESS_SESSION_TIMEOUT_SECONDS": "6",
        }
        argv = [sys.executable, str(WORKER), role, trouble]
        child = Child.start(role, argv, {**os.environ, **own, **env}, self.folder / f"{role}.log")
        try:
            yield child
        finally:
            child.stop()

    async def train(self, count: int, *, trouble_at: int | None = None, step: int = 1) -> None:
        """Publish training samples of anna, one after the other."""
        async with Publisher(self.kafka) as publisher:
            for index in range(count):
                encoded = TROUBLE if index == trouble_at else ANNA
                await publisher.training_sample(
                    run_id="run", step=step, index=index, identity="anna", model="m", encoded=encoded
                )

    def ends(self) -> dict[str, tuple[str, bytes, bool]]:
        """Return topic, value and whether it was delivered of each sample that is decided."""
        if not (self.folder / "ledger.db").exists():
            return {}
        with closing(sqlite3.connect(f"file:{self.folder}/ledger.db?mode=ro", uri=True, timeout=10)) as connection:
            if not connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'sample'").fetchone():
                return {}
            rows = connection.execute(
                "SELECT sample_id, topic, value, published_at IS NOT NULL FROM sample WHERE state <> 'in_flight'"
            )
            return {key: (topic, value, bool(delivered)) for key, topic, value, delivered in rows}

    def delivered(self) -> int:
        return sum(delivered for _, _, delivered in self.ends().values())

    async def committed(self, role: str = "judge") -> dict[TopicPartition, int]:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        try:
            await admin.start()
            held = await admin.list_consumer_group_offsets(f"{self.group}-{role}")
        finally:
            await admin.close()
        return {place: one.offset for place, one in held.items()}

    async def records(self, *wanted: Topic) -> list[object]:
        """Return every record of the topics, those of a partition in order."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            places = [TopicPartition(topic.name, n) for topic in wanted for n in range(topic.partitions)]
            left = sum((await consumer.end_offsets(places)).values())
            consumer.assign(places)
            found: list[object] = []
            while len(found) < left:
                for some in (await consumer.getmany(timeout_ms=1000)).values():
                    found += some
        finally:
            await consumer.stop()
        return found

    async def limit(self, topic: Topic, largest: int) -> None:
        """Have the broker refuse records of a topic that are larger than so many bytes."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.kafka)
        try:
            await admin.start()
            resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, {"max.message.bytes": str(largest)})
            await admin.alter_configs([resource])
        finally:
            await admin.close()


@pytest.fixture
def bench(kafka_with_topics: str, tmp_path: Path) -> Bench:
    return Bench(kafka_with_topics, tmp_path)


async def until(holds: Callable[[], bool], seconds: float = 60.0) -> None:
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, "nothing has come of it"
        await asyncio.sleep(0.02)


async def ended(child: Child, seconds: float = 60.0) -> int:
    """Wait until a worker has ended by itself; return its exit status."""
    await until(lambda: child.poll() is not None, seconds)
    return child.poll() or 0


async def test_a_delivery_that_fails_ends_the_worker_and_the_same_verdicts_come_with_the_batch(bench):
    await bench.limit(topics.SAMPLES_ACCEPTED, 100)
    await bench.train(BATCH)
    with bench.worker() as worker:
        assert await ended(worker) == 1
    decided = bench.ends()
    assert decided
    assert bench.delivered() == 0
    assert not any(offset > 0 for offset in (await bench.committed()).values())
    await bench.limit(topics.SAMPLES_ACCEPTED, 1_000_000)
    with bench.worker():
        await until(lambda: bench.delivered() == BATCH)
    published = {record.key.decode(): record.value for record in await bench.records(topics.SAMPLES_ACCEPTED)}
    assert len(published) == BATCH
    assert {key: published[key] for key in decided} == {key: value for key, (_, value, _) in decided.items()}


async def test_what_nobody_has_foreseen_ends_the_worker_and_nothing_undecided_is_committed(bench):
    count, trouble_at = 40, 25
    await bench.train(count, trouble_at=trouble_at)
    with bench.worker("raises") as worker:
        assert await ended(worker) == 1
        assert "nobody has foreseen this" in worker.log_path.read_text()
    committed, decided = await bench.committed(), bench.ends()
    behind = [
        record.key.decode()
        for record in await bench.records(topics.TRAINING_SAMPLES)
        if record.offset < committed.get(TopicPartition(record.topic, record.partition), 0)
    ]
    assert decided  # some batches went well
    assert set(behind) <= {key for key, (_, _, delivered) in decided.items() if delivered}
    assert training_sample_id("run", 1, trouble_at) not in behind
    with bench.worker("works"):
        await until(lambda: bench.delivered() == count)
    balance = await audit(bench.kafka, bench.ledger, group=bench.group)
    assert balance.sound, balance.offences
    assert balance.accepted + balance.flagged == balance.requested == count


async def test_going_back_to_what_is_committed_while_messages_flow_loses_none_of_them(bench):
    count = 60
    with bench.worker("returns"):
        await bench.train(BATCH)
        await until(lambda: bench.delivered() > 0)
        for step in range(2, 2 + count // BATCH):
            await bench.train(BATCH, step=step)
        await until(lambda: bench.delivered() == count + BATCH)
    balance = await audit(bench.kafka, bench.ledger, group=bench.group)
    assert (balance.sound, balance.in_flight) == (True, 0), balance.offences


async def test_a_trace_goes_along_with_a_sample_from_the_request_to_the_verdict(bench):
    with bench.worker(role="generate"), bench.worker(role="judge"):
        async with Publisher(bench.kafka) as publisher:
            request = GenerationRequested(source="shop", request_id="r-1", identity="anna", count=2)
            await publisher.request(request, trace=TRACE)
        await until(lambda: bench.delivered() == 2)
    records = await bench.records(topics.GENERATION_SAMPLES, topics.SAMPLES_ACCEPTED, topics.SAMPLES_FLAGGED)
    assert len(records) == 4
    assert all(set(TRACE) <= set(record.headers) for record in records)


async def test_the_largest_message_that_kafka_takes_becomes_a_dead_letter_that_points_at_it(bench):
    largest = b"x" * 1_048_400  # and its envelope: Kafka's own limit is 1,048,588 bytes
    async with Publisher(bench.kafka) as publisher:
        await publisher.raw(topics.TRAINING_SAMPLES.name, largest)
    with bench.worker() as worker:
        await until(lambda: bench.delivered() == 1 or worker.poll() is not None)
        assert worker.poll() is None, worker.log_tail()
    (letter,) = await bench.records(topics.DEAD_LETTERS)
    pointer = ImageRef.model_validate_json(letter.value)
    assert await ImageStore(str(bench.folder / "images")).get(pointer) == largest


async def test_a_producers_transactions_do_not_look_like_messages_that_wait(bench):
    stranger = AIOKafkaProducer(bootstrap_servers=bench.kafka, transactional_id="stranger")
    async with stranger, stranger.transaction():
        await stranger.send_and_wait(topics.TRAINING_SAMPLES.name, b"no sample", partition=0)
    limit = 4.0
    with bench.worker("works", LIKENESS_STUCK_AFTER_SECONDS=str(limit)) as worker:
        await until(lambda: bench.delivered() == 1 or worker.poll() is not None)
        idle_from = time.monotonic()
        await until(lambda: time.monotonic() > idle_from + 2 * limit)
        assert worker.poll() is None, worker.log_tail()
    async with Backlog(bench.kafka, timeout_seconds=10) as backlog:
        assert await backlog.oldest_waiting(f"{bench.group}-judge", [topics.TRAINING_SAMPLES.name]) is None
    assert (await audit(bench.kafka, bench.ledger, group=bench.group)).settled


@pytest.mark.parametrize("trouble", ["hangs", "blocks"])
async def test_a_worker_that_is_stuck_while_messages_wait_ends_itself(bench, trouble):
    await bench.train(BATCH, trouble_at=0)
    with bench.worker(trouble, LIKENESS_STUCK_AFTER_SECONDS="4") as worker:
        assert await ended(worker) == STUCK_STATUS
        assert "this process ends itself" in worker.log_path.read_text()


async def test_a_worker_that_was_idle_for_long_is_not_stuck_when_work_comes(bench):
    limit = 4.0  # twice as long as a dawdler takes
    with bench.worker("dawdles", LIKENESS_STUCK_AFTER_SECONDS=str(limit)) as worker:
        await bench.train(1)
        await until(lambda: bench.delivered() == 1)
        idle_from = time.monotonic()
        await until(lambda: time.monotonic() > idle_from + 1.5 * limit)
        await bench.train(1, trouble_at=0, step=2)
        await until(lambda: bench.delivered() == 2 or worker.poll() is not None)
        assert worker.poll() is None, worker.log_tail()


async def test_a_group_that_stopped_beyond_the_end_of_a_topic_reads_it_from_its_beginning(bench):
    place = TopicPartition(topics.TRAINING_SAMPLES.name, 0)
    former = AIOKafkaConsumer(bootstrap_servers=bench.kafka, group_id=f"{bench.group}-judge", enable_auto_commit=False)
    await former.start()
    try:
        former.assign([place])
        await former.commit({place: 1000})  # of the topic that had this name before
    finally:
        await former.stop()
    await bench.train(24)
    trained = await bench.records(topics.TRAINING_SAMPLES)
    assert any(record.partition == place.partition for record in trained)  # or this test would show nothing
    with bench.worker():
        await until(lambda: bench.delivered() == 24)
    assert (await bench.committed())[place] == sum(record.partition == place.partition for record in trained)
