"""Publish requests and training samples on Kafka."""

import asyncio
import base64
from datetime import UTC, datetime
from types import TracebackType

from aiokafka import AIOKafkaProducer
from aiokafka.errors import (
    InvalidTimestampError,
    KafkaError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)

from streams import topics
from streams.core.ids import training_sample_id
from streams.errors import BadInput, DependencyUnavailable
from streams.events import (
    Body,
    GenerationRequested,
    Headers,
    TrainingSamplePublished,
    cloud_event,
    to_json,
)

#: Seconds that leaving waits for messages whose sending was broken off.
CLOSE_SECONDS = 5.0
#: How long the brokers may take over one message, in seconds: enough for them to choose a leader anew.
SEND_SECONDS = 60.0

#: What brokers say of a message that they will not take tomorrow either. Whether an error is "retriable" does not tell:
#: to aiokafka a timeout is not.
_REFUSALS = (
    InvalidTimestampError,
    MessageSizeTooLargeError,
    PolicyViolationError,
    RecordListTooLargeError,
    TopicAuthorizationFailedError,
)


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
        """Disconnect. What no broker has taken by now, because they are down, is given up after a while."""
        try:
            async with asyncio.timeout(CLOSE_SECONDS):
                await self._producer.stop()
        except TimeoutError:  # it waits for deliveries that nobody waits for any more
            await self._producer._sender.close()
            await self._producer.client.close()

    async def request(self, *requests: GenerationRequested, trace: Headers = (), at: datetime | None = None) -> None:
        """Ask for samples. The same request sent again changes nothing.

        Args:
            requests: What is asked for.
            trace: Trace headers to hand on.
            at: When it was asked for; now where None.
        """
        topic = topics.GENERATION_REQUESTS.name
        sends = (self._send(topic, one, one.request_id, f"/{one.source}", trace, at) for one in requests)
        await asyncio.gather(*sends)

    async def training_sample(
        self,
        *,
        run_id: str,
        step: int,
        index: int,
        identity: str,
        model: str,
        encoded: bytes,
        territory: str | None = None,
        clip_id: str | None = None,
        frame_index: int | None = None,
        frames: int | None = None,
    ) -> str:
        """Have one image of a training run judged; return its sample id.

        Args:
            run_id: The training run.
            step: The training step that made the image.
            index: Which of the step's images.
            identity: Whom it should show.
            model: What is being trained.
            encoded: PNG, JPEG or WebP, at most 512 KiB.
            territory: Where the images of this run are to be shown, ISO 3166.
            clip_id: The video that the image is a frame of; its frames are also judged together.
            frame_index: Which of its frames, from 0 on.
            frames: How many it has, where that is known.
        """
        inline = base64.b64encode(encoded).decode()
        body = TrainingSamplePublished(
            run_id=run_id,
            step=step,
            index=index,
            identity=identity,
            model=model,
            territory=territory,
            clip_id=clip_id,
            frame_index=frame_index,
            frames=frames,
            inline_image=inline,
        )
        sample_id = training_sample_id(run_id, step, index)
        await self._send(topics.TRAINING_SAMPLES.name, body, sample_id, f"/{run_id}")
        return sample_id

    async def _send(
        self, topic: str, body: Body, key: str, source: str, trace: Headers = (), at: datetime | None = None
    ) -> None:
        at = at or datetime.now(UTC)
        headers = cloud_event(body, id=key, source=source, time=at, trace=trace)
        await self.raw(topic, to_json(body), key.encode(), headers, at=at)

    async def raw(
        self,
        topic: str,
        value: bytes | None,
        key: bytes | None = None,
        headers: Headers = (),
        *,
        at: datetime | None = None,
    ) -> None:
        """Publish bytes as they are, whatever they mean; as of now, where no time is given.

        Raises:
            BadInput: If no broker will ever take them, such as those of a message that is too large.
            DependencyUnavailable: If no broker has confirmed them. One may have them all the same: sent again, a
                request or a training sample changes nothing, and anything else may be there twice.
        """
        timestamp_ms = None if at is None else int(at.timestamp() * 1000)
        try:
            # A producer that is new to a cluster without a majority waits for its id for ever, whatever its own limit.
            async with asyncio.timeout(SEND_SECONDS):
                await self._producer.send_and_wait(
                    topic, value=value, key=key, headers=list(headers), timestamp_ms=timestamp_ms
                )
        except _REFUSALS as error:
            size = len(value or b"")
            raise BadInput(
                f"expected a message that Kafka at {self._kafka} takes on {topic}, got {error} for one of {size} bytes:"
                " mend it, sent again it would be refused again"
            ) from error
        except (KafkaError, TimeoutError) as error:
            said = str(error) or f"no broker has confirmed the message within {SEND_SECONDS:g} s; send it again"
            raise DependencyUnavailable("kafka", f"{self._kafka}: {said}") from error
