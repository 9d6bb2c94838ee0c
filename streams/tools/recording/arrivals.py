"""From a record of a topic to the sample that it is about."""

from dataclasses import dataclass

from pydantic import BaseModel

from streams import topics
from streams.core.parse import Refused, parse
from streams.core.records import Message
from streams.core.subject import Subject, judged, made, trained
from streams.events import Body, ImageRef, SampleGenerated, SampleJudged, TrainingSamplePublished
from streams.tools.audit.records import Raw
from streams.tools.recording.images import reference_to

#: Topics that can be recorded, and what they carry.
BODIES: dict[str, type[Body]] = {
    topics.SAMPLES_ACCEPTED.name: SampleJudged,
    topics.SAMPLES_FLAGGED.name: SampleJudged,
    topics.GENERATION_SAMPLES.name: SampleGenerated,
    topics.TRAINING_SAMPLES.name: TrainingSamplePublished,
}


@dataclass(frozen=True, eq=False)
class Arrival:
    """One record, read."""

    raw: Raw
    subject: Subject
    verdict: SampleJudged | None = None
    """Where the record is one."""
    inline: bytes | None = None
    """The image, where the record brings it along."""


def arrival(raw: Raw) -> Arrival | None:
    """Return what a record is about; None where it is not what its topic carries."""
    message = Message(raw.topic, raw.partition, raw.offset, raw.key, raw.value, tuple(raw.headers))
    body: BaseModel | Refused = parse(message, BODIES[raw.topic])
    if isinstance(body, SampleJudged):
        return Arrival(raw, judged(body), body)
    if isinstance(body, SampleGenerated):
        image, inline = _image(body)
        return Arrival(raw, made(body, image), None, inline)
    if isinstance(body, TrainingSamplePublished):
        image, inline = _image(body)
        return Arrival(raw, trained(body, image), None, inline)
    return None


def _image(body: SampleGenerated | TrainingSamplePublished) -> tuple[ImageRef, bytes | None]:
    if body.image is not None:
        return body.image, None
    inline = body.inline_bytes()
    return reference_to(inline), inline
