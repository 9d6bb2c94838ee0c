"""The client on a real Kafka: what no broker takes is refused at once, and what is no verdict is passed over."""

import asyncio
from contextlib import aclosing
from datetime import UTC, datetime, timedelta

import pytest

from streams import topics
from streams.client import Publisher, verdicts
from streams.errors import BadInput
from streams.ports import Services
from streams.steps import judge
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, training_sample

FLAGGED = topics.SAMPLES_FLAGGED.name


async def test_a_message_that_no_broker_takes_is_refused_and_the_publisher_goes_on(kafka_with_topics: str):
    async with Publisher(kafka_with_topics) as publisher:
        with pytest.raises(BadInput, match=rf"takes on {FLAGGED}.* 2000000 bytes.*refused again"):
            await publisher.raw(FLAGGED, b"x" * 2_000_000)
        with pytest.raises(BadInput, match=f"takes on {FLAGGED}"):
            await publisher.raw(FLAGGED, b"x", at=datetime.now(UTC) + timedelta(days=2))
        await publisher.raw(FLAGGED, b"small")


async def test_verdicts_come_past_what_somebody_else_wrote(
    kafka_with_topics: str, services: Services, caplog: pytest.LogCaptureFixture
):
    sample = training_sample(png(picture([1, 0, 0, 0, 0, 0, 0, 0])))
    [record] = await deliver(judge, [message(sample)], services)
    async with Publisher(kafka_with_topics) as publisher:
        await publisher.raw(record.topic, b"no verdict", record.key)  # so that both lie in one partition
        await publisher.raw(record.topic, record.value, record.key, record.headers)

    async with asyncio.timeout(60), aclosing(verdicts(kafka_with_topics, from_beginning=True)) as following:
        judged = await anext(following)

    assert record.key == judged.sample_id.encode()
    [warning] = [each for each in caplog.records if each.name == "streams.client.verdicts"]
    assert f"expected a verdict at {record.topic}[" in warning.getMessage()
