"""Everything of ours that reads Kafka gets past a header name that is not UTF-8, on a real broker."""

import asyncio
from datetime import UTC, datetime
from functools import partial

import pytest
from aiokafka import AIOKafkaProducer, TopicPartition
from aiokafka.consumer import fetcher
from aiokafka.record.memory_records import MemoryRecords

from streams import topics
from streams.client import verdicts
from streams.events import Decision, SampleJudged, to_json
from streams.runtime.backlog import Backlog
from streams.runtime.patience import Patience
from streams.tools.audit.topics import Topics
from streams.tools.demo import Followed, follow
from tests.raw_records import RawRecord, send

SAMPLE = "0" * 32
VERDICT = SampleJudged(
    sample_id=SAMPLE,
    kind="training",
    source="run",
    index=0,
    identity="anna",
    model="gan",
    decision=Decision.ACCEPTED,
    reasons=(),
    nearest=(),
    limits={},
    policy_version="p/1",
    judged_at=datetime(2030, 1, 1, tzinfo=UTC),
)
ODD = RawRecord(to_json(VERDICT), SAMPLE.encode(), ((b"\xff\xfe", b"x"),))
PLACE = TopicPartition(topics.SAMPLES_ACCEPTED.name, 0)


@pytest.fixture(autouse=True)
def _as_it_comes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever reads must see to it: nothing that another test has done helps."""
    monkeypatch.setattr(fetcher, "MemoryRecords", MemoryRecords)


@pytest.fixture
async def kafka(kafka_with_topics: str) -> str:
    """A broker with one verdict that was given an odd header."""
    producer = AIOKafkaProducer(bootstrap_servers=kafka_with_topics)
    await producer.start()
    try:
        assert await send(producer, PLACE, ODD) == 0
    finally:
        await producer.stop()
    return kafka_with_topics


async def test_the_client_reads_on(kafka: str):
    async with asyncio.timeout(60):
        assert await anext(verdicts(kafka, from_beginning=True)) == VERDICT


async def test_the_audit_and_the_dead_letters_reader_read_on(kafka: str):
    async with Topics(kafka, timeout_seconds=60) as reader:
        [raw] = [raw async for raw in reader.records(await reader.ends([PLACE.topic]))]
    assert raw.headers == ((r"\xff\xfe", b"x"),)


async def test_the_reconciler_sees_how_old_it_is(kafka: str):
    async with Backlog(kafka, timeout_seconds=60) as backlog:
        # A young broker is still choosing who keeps the offsets.
        assert await Patience()(partial(backlog.oldest_waiting, "nobody", [PLACE.topic])) is not None


async def test_the_demonstration_follows_it(kafka: str):
    followed = Followed()
    await follow(kafka, lambda seen: seen.ended == 1, followed, lambda _: None)
    assert followed.verdicts == {SAMPLE: VERDICT}
