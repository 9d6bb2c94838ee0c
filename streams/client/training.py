"""Have a training run's samples judged on the road, and read what its feedback says; for any training loop.

Five lines do it::

    with TrainingFeed("localhost:9092", run_id="run-7", model="my-gan") as feed:
        for step in range(100_000):
            train_one_step()
            if step % 1000 == 0:
                feed.publish(step, [(identity, png_of(identity)) for identity in enrolled])
            if feed.told_to_stop:
                break
"""

import asyncio
import logging
import threading
from collections.abc import Coroutine, Iterable
from contextlib import aclosing, suppress
from types import TracebackType
from typing import Any, Self, TypeVar

from pydantic import ValidationError

from streams import topics
from streams.client.publisher import Publisher
from streams.errors import DependencyUnavailable
from streams.events import TrainingAdvised
from streams.kafka.readers import follow

log = logging.getLogger(__name__)

T = TypeVar("T")

#: Seconds until feedback is asked for again after Kafka was down.
_AGAIN_SECONDS = 5.0


class TrainingFeed:
    """One run's samples out, and its feedback in. Feedback is read in a thread of its own; calls block."""

    def __init__(self, kafka: str, *, run_id: str, model: str) -> None:
        """Take Kafka's bootstrap servers. Nothing is connected yet.

        Args:
            kafka: ``host:port[,host:port…]``.
            run_id: Names the run for ever: one that is taken up again goes by the same name.
            model: What is being trained.
        """
        self._kafka, self._run_id, self._model = kafka, run_id, model
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="likeness-feedback", daemon=True)
        self._advised: TrainingAdvised | None = None
        self._by_step: dict[int, TrainingAdvised] = {}

    def __enter__(self) -> Self:
        """Begin to read feedback, that of earlier times first."""
        self._thread.start()
        self._reading = asyncio.run_coroutine_threadsafe(self._read(), self._loop)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the reading."""
        self._await(self._end())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def publish(self, step: int, samples: Iterable[tuple[str, bytes]], *, territory: str | None = None) -> int:
        """Have a step's samples judged; return how many there are.

        Args:
            step: The training step that made them.
            samples: For each, whom it should show, by the name that they are enrolled with, and the image as PNG, JPEG
                or WebP of at most 512 KiB. In the same order each time: a sample that is published again is the same.
            territory: Where the images of this run are to be shown, ISO 3166.

        Raises:
            BadInput: If Kafka will never take one of them.
            DependencyUnavailable: If Kafka does not answer; published again later, they count once.
        """
        return self._await(self._publish(step, list(samples), territory))

    @property
    def advised(self) -> TrainingAdvised | None:
        """What was said of the latest step of which anything was said yet."""
        return self._advised

    def advised_at(self, step: int) -> TrainingAdvised | None:
        """Return what was last said of a step, of as many of its samples as were judged by then; None where nothing."""
        return self._by_step.get(step)

    @property
    def told_to_stop(self) -> bool:
        """Whether the run should end."""
        return self._advised is not None and self._advised.advice == "stop"

    @property
    def best_step(self) -> int | None:
        """The step whose checkpoint should be kept, as far as is known."""
        return None if self._advised is None else self._advised.best_step

    def _await(self, work: Coroutine[Any, Any, T]) -> T:
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()

    async def _publish(self, step: int, samples: list[tuple[str, bytes]], territory: str | None) -> int:
        async with Publisher(self._kafka) as publisher:
            sends = (
                publisher.training_sample(
                    run_id=self._run_id,
                    step=step,
                    index=index,
                    identity=identity,
                    model=self._model,
                    encoded=encoded,
                    territory=territory,
                )
                for index, (identity, encoded) in enumerate(samples)
            )
            return len(await asyncio.gather(*sends))

    async def _read(self) -> None:
        while True:
            try:
                async with aclosing(follow(self._kafka, topics.TRAINING_FEEDBACK.name, from_beginning=True)) as records:
                    async for record in records:
                        self._note(record.value)
            except DependencyUnavailable as error:
                log.warning("no feedback for run %s: %s; asking again", self._run_id, error)
            await asyncio.sleep(_AGAIN_SECONDS)

    def _note(self, value: bytes | None) -> None:
        try:
            said = TrainingAdvised.model_validate_json(value or b"")
        except ValidationError as error:
            log.warning("expected feedback, got a record with %d faults: skipped", error.error_count())
            return
        if said.run_id == self._run_id:
            self._advised = latest(self._advised, said)
            self._by_step[said.step] = latest(self._by_step.get(said.step), said)

    async def _end(self) -> None:
        self._reading.cancel()
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        with suppress(asyncio.CancelledError):
            await asyncio.gather(*tasks, return_exceptions=True)


def latest(known: TrainingAdvised | None, said: TrainingAdvised) -> TrainingAdvised:
    """Return the one of a later step; of one step, the later revision."""
    if known is None or (said.step, said.revision) >= (known.step, known.revision):
        return said
    return known
