"""The demonstration: enrol, ask, follow the verdicts, and add up what came of it."""

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import ValidationError

from streams import topics
from streams.client import Publisher
from streams.client.verdicts import verdict_of
from streams.core.deadletter import explanation
from streams.errors import ImageMissing
from streams.events import (
    DEFAULT_MODEL,
    DriftAlerted,
    GenerationRequested,
    ImageRef,
    SampleJudged,
    TrainingAdvised,
)
from streams.kafka.readers import follow as follow_topics
from streams.ports import Services
from streams.tools.demo_requests import MALFORMED, of_families, plan
from streams.tools.synthetic import enrol_synthetic

log = logging.getLogger(__name__)

#: After so many seconds without an end, those that are missing are the audit's business.
PATIENCE_SECONDS = 90.0
#: So often it is looked whether all have ended, where nothing comes.
_LOOK_SECONDS = 0.2

T = TypeVar("T", DriftAlerted, TrainingAdvised)


@dataclass(frozen=True)
class Prepared:
    """Who is enrolled, and what is to be asked for."""

    requests: list[GenerationRequested]
    people: list[str]
    """Those who agree to be shown."""

    @property
    def samples(self) -> int:
        """How many are asked for."""
        return sum(one.count for one in self.requests)

    @property
    def frames(self) -> dict[str, str]:
        """Request id to the SHA-256 of the source frame that it brings."""
        return {one.request_id: one.frame.sha256 for one in self.requests if one.frame is not None}


@dataclass
class Followed:
    """What was seen on the three topics on which a sample ends, and on those of the monitor."""

    verdicts: dict[str, SampleJudged] = field(default_factory=dict)
    dead: dict[str, dict[str, str]] = field(default_factory=dict)
    """Dead letters' ``likeness.dlq.*`` headers by id."""
    first_at: float | None = None
    """When the first verdict came, on the monotonic clock."""
    feedback: dict[int, TrainingAdvised] = field(default_factory=dict)
    """The last on each step of a training run."""
    alerts: dict[str, DriftAlerted] = field(default_factory=dict)
    """The last of each alert, by its id."""

    @property
    def ended(self) -> int:
        """Samples and messages that have ended."""
        return len(self.verdicts) + len(self.dead)


async def prepare(
    services: Services,
    count: int,
    *,
    identities: int,
    families: bool = False,
    report: Callable[[str], None] = lambda _: None,
) -> Prepared:
    """Enrol synthetic identities, withdraw the last one's consent, and return what to ask for.

    Args:
        services: Where to.
        count: Samples that wander off, at least 20.
        identities: How many, at least 2.
        families: Whether every trained family is asked, too.
        report: Told of everybody who is enrolled.
    """
    names = await enrol_synthetic(identities, services, model=DEFAULT_MODEL, report=report)
    *people, withdrawn = names
    await services.consent.withdraw(withdrawn, at=services.now(), note="withdrawn for the demonstration")
    requests = plan(count, people, withdrawn, source="demo")
    if families:
        requests += of_families(people, [await _picture_of(name, services) for name in people], source="demo")
    return Prepared(requests, people)


async def _picture_of(identity: str, services: Services) -> ImageRef:
    """Return an enrolled image of somebody."""
    sha256 = (await services.gallery.references(identity))[0].image_sha256
    found = await services.images.find(sha256)
    if found is None:
        raise ImageMissing(f"expected the enrolled image {sha256} of {identity} in the image store, got none")
    return found


async def publish(kafka: str, requests: Sequence[GenerationRequested]) -> None:
    """Publish the requests, and the malformed messages among them."""
    async with Publisher(kafka) as publisher:
        await publisher.request(*requests)
        for value in MALFORMED:
            await publisher.raw(topics.GENERATION_REQUESTS.name, value)


async def follow(
    kafka: str, complete: Callable[[Followed], bool], followed: Followed, report: Callable[[Followed], None]
) -> None:
    """Collect what comes until it is complete, or nothing has come for long.

    Raises:
        DependencyUnavailable: If Kafka does not answer.
    """
    names = [topic.name for topic in (*topics.ENDS, topics.TRAINING_FEEDBACK, topics.DRIFT_ALERTS)]
    async with aclosing(follow_topics(kafka, *names, from_beginning=True)) as records:
        coming, last = asyncio.ensure_future(anext(records)), time.monotonic()
        try:
            while not complete(followed) and time.monotonic() - last < PATIENCE_SECONDS:
                await asyncio.wait({coming}, timeout=_LOOK_SECONDS)
                if coming.done():
                    note(coming.result(), followed)
                    report(followed)
                    coming, last = asyncio.ensure_future(anext(records)), time.monotonic()
        finally:
            coming.cancel()
            await asyncio.wait({coming})


def note(record: Any, followed: Followed) -> None:
    """Take in one record of these topics; what nobody of ours wrote is skipped, with a warning."""
    if record.topic == topics.TRAINING_FEEDBACK.name:
        _note_last(record, TrainingAdvised, followed.feedback, lambda said: said.step)
    elif record.topic == topics.DRIFT_ALERTS.name:
        _note_last(record, DriftAlerted, followed.alerts, lambda said: said.alert_id)
    elif record.topic == topics.DEAD_LETTERS.name:
        why = explanation(record.headers)
        if "id" in why:
            followed.dead[why["id"]] = why
        else:
            log.warning("expected a dead letter at offset %d, got a record without an id: skipped", record.offset)
    elif (judged := verdict_of(record)) is not None:
        followed.verdicts[judged.sample_id] = judged
        if followed.first_at is None:
            followed.first_at = time.monotonic()


def _note_last(record: Any, kind: type[T], known: dict[Any, T], key: Callable[[T], Any]) -> None:
    """Keep the highest revision of what was said."""
    try:
        said = kind.model_validate_json(record.value or b"")
    except ValidationError as error:
        faults = error.error_count()
        log.warning("expected %s at offset %d, got %d faults: skipped", kind.__name__, record.offset, faults)
        return
    before = known.get(key(said))
    if before is None or said.revision >= before.revision:
        known[key(said)] = said
