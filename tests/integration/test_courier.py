"""The courier: what was registered gets to Kafka, and nobody is kept waiting while Kafka is away."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from aiokafka import AIOKafkaConsumer

from streams import topics
from streams.runtime.courier import KafkaCourier
from streams.testing.messages import TRACE, request


@pytest.fixture
def registered_at() -> datetime:
    """Some time ago, to the microsecond; Kafka refuses what is from a future more than an hour away."""
    return datetime.now(UTC) - timedelta(minutes=10)


@asynccontextmanager
async def forwarding(port: int, kafka: str) -> AsyncIterator[None]:
    """Let clients find Kafka at this port: the first word they exchange there tells them its real address."""
    host, _, kafkas_port = kafka.rpartition(":")
    pipes: set[asyncio.Task[None]] = set()

    async def pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            writer.write(some)
        writer.close()

    async def forward(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        to_kafka = await asyncio.open_connection(host, int(kafkas_port))
        pipes.add(asyncio.create_task(pipe(reader, to_kafka[1])))
        pipes.add(asyncio.create_task(pipe(to_kafka[0], writer)))

    server = await asyncio.start_server(forward, "127.0.0.1", port)
    try:
        yield
    finally:
        server.close()
        for task in pipes:
            task.cancel()
        await asyncio.gather(*pipes, return_exceptions=True)


async def test_a_request_is_published_as_of_the_time_that_is_given_with_its_trace(
    kafka_with_topics: str, registered_at: datetime
):
    async with KafkaCourier(kafka_with_topics, wait_seconds=60) as courier:
        assert await courier.hand_over(request(), at=registered_at, trace=TRACE)

    consumer = AIOKafkaConsumer(
        topics.GENERATION_REQUESTS.name, bootstrap_servers=kafka_with_topics, auto_offset_reset="earliest"
    )
    async with asyncio.timeout(60), consumer:
        record = await consumer.getone()
    assert record.timestamp == int(registered_at.timestamp() * 1000)
    assert dict(record.headers)["ce_time"] == registered_at.isoformat().encode()
    assert tuple(record.headers)[-1:] == TRACE


async def test_a_kafka_that_comes_later_is_found_and_until_then_nobody_waits(
    kafka_with_topics: str, unused_tcp_port: int, registered_at: datetime
):
    async with asyncio.timeout(120), KafkaCourier(f"127.0.0.1:{unused_tcp_port}", wait_seconds=0.01) as courier:
        assert not await courier.hand_over(request(), at=registered_at)

        async with forwarding(unused_tcp_port, kafka_with_topics):
            while not await courier.hand_over(request(), at=registered_at):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.05)
