"""What other programs import: publish requests and training samples, read verdicts.

async with Publisher("localhost:9092") as publisher:
    await publisher.request(GenerationRequested(source="shop", request_id="r-1", identity="anna", seed=7))
"""

import asyncio
import base64
from collections.abc import AsyncIterator, Iterable
from datetime import UTC, datetime
from types import TracebackType

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.errors import KafkaError

from streams import topics
from streams.core.ids import training_sample_id
from streams.errors import DependencyUnavailable
from streams.events import (
    Body,
    GenerationRequested,
    Headers,
    SampleJudged,
    TrainingSamplePublished,
    cloud_event,
    to_json,
)
from streams.topics import Topic


class Publisher:
    """Publishes durably: a call returns when every in-sync broker has the message."""

    def __init__(self, kafka: str) -> None:
        """Take Kafka's bootstrap servers. Nothing is connected yet."""
        self._kafka = kafka

    async def __aenter__(self) -> "Publisher":
        """Connect.

        Raises:
            DependencyUnavailable: If no broker answers.
        """
        self._producer = AIOKafkaProducer(bootstrap_servers=self._kafka, acks="all", enable_idempotence=True)
        try:
            await self._producer.start()
        except KafkaError as error:
            await self._producer.stop()
            raise DependencyUnavailable("kafka", f"{self._kafka}: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Disconnect."""
        await self._producer.stop()

    async def request(self, *requests: GenerationRequested, trace: Headers = ()) -> None:
        """Ask for samples. The same request sent again changes nothing."""
        await asyncio.gather(
            *(
                self._send(topics.GENERATION_REQUESTS.name, request, request.request_id, f"/{request.source}", trace)
                for request in requests
            )
        )

    async def training_sample(
        self, *, run_id: str, step: int, index: int, identity: str, model: str, encoded: bytes
    ) -> str:
        """Have one image of a training run judged; return its sample id.

        Args:
            run_id: The training run.
            step: The training step that made the image.
            index: Which of the step's images.
            identity: Whom it should show.
            model: What is being trained.
            encoded: PNG, JPEG or WebP, at most 512 KiB.
        """
        inline = base64.b64encode(encoded).decode()
        body = TrainingSamplePublished(
            run_id=run_id, step=step, index=index, identity=identity, model=model, inline_image=inline
        )
        sample_id = training_sample_id(run_id, step, index)
        await self._send(topics.TRAINING_SAMPLES.name, body, sample_id, f"/{run_id}", ())
        return sample_id

    async def _send(self, topic: str, body: Body, key: str, source: str, trace: Headers) -> None:
        headers = cloud_event(body, id=key, source=source, time=datetime.now(UTC), trace=trace)
        await self.raw(topic, to_json(body), key.encode(), headers)

    async def raw(self, topic: str, value: bytes | None, key: bytes | None = None, headers: Headers = ()) -> None:
        """Publish bytes as they are, whatever they mean."""
        try:
            await self._producer.send_and_wait(topic, value=value, key=key, headers=list(headers))
        except KafkaError as error:
            raise DependencyUnavailable("kafka", f"{self._kafka}: {error}") from error


async def verdicts(
    kafka: str, *, of: Iterable[Topic] = (topics.SAMPLES_ACCEPTED, topics.SAMPLES_FLAGGED), from_beginning: bool = False
) -> AsyncIterator[SampleJudged]:
    """Follow verdicts as they come. The same verdict may come twice; two different ones for a sample never do."""
    consumer = AIOKafkaConsumer(
        *(topic.name for topic in of),
        bootstrap_servers=kafka,
        auto_offset_reset="earliest" if from_beginning else "latest",
    )
    try:
        await consumer.start()
        async for record in consumer:
            yield SampleJudged.model_validate_json(record.value)
    except KafkaError as error:
        raise DependencyUnavailable("kafka", f"{kafka}: {error}") from error
    finally:
        await consumer.stop()
