"""Read verdicts from Kafka."""

import logging
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from typing import Any

from pydantic import ValidationError

from streams import topics
from streams.events import SampleJudged
from streams.kafka.readers import follow
from streams.topics import Topic

log = logging.getLogger(__name__)


async def verdicts(
    kafka: str, *, of: Iterable[Topic] = (topics.SAMPLES_ACCEPTED, topics.SAMPLES_FLAGGED), from_beginning: bool = False
) -> AsyncGenerator[SampleJudged, None]:
    """Follow verdicts as they come. The same verdict may come twice; two different ones for a sample never do.

    A record that is no verdict is skipped, with a warning in the log. For the whole process this replaces the reader of
    record batches in aiokafka: every consumer in it then gets past a batch that aiokafka alone stops at.

    Raises:
        DependencyUnavailable: If Kafka does not answer.
    """
    async with aclosing(follow(kafka, *(topic.name for topic in of), from_beginning=from_beginning)) as records:
        async for record in records:
            judged = verdict_of(record)
            if judged is not None:
                yield judged


def verdict_of(record: Any) -> SampleJudged | None:
    """Return what a record of an end topic says; None, with a warning, where somebody else wrote it."""
    try:
        return SampleJudged.model_validate_json(record.value or b"")
    except ValidationError as error:
        place = f"{record.topic}[{record.partition}]@{record.offset}"
        log.warning(
            "expected a verdict at %s, got a record with %d faults: skipped; find out who else writes to this topic",
            place,
            error.error_count(),
        )
        return None
