"""What arrives to be judged: messages become candidates, whose images are stored and which the ledger knows."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from streams import topics
from streams.core.deadletter import Burial
from streams.core.ids import generated_sample_id, message_id
from streams.core.ledger import Registered, Registration
from streams.core.parse import Refused, parse
from streams.core.records import Message
from streams.core.subject import Subject, made, trained
from streams.events import DeadReason, ImageRef, SampleGenerated, TrainingSamplePublished, to_json
from streams.ports import Services
from streams.steps.ends import refused


@dataclass(frozen=True)
class Candidate:
    """One sample that is to be judged, and the message that brought it."""

    subject: Subject
    message: Message
    payload: bytes
    image: ImageRef
    kept: bytes | None
    """Stands for the message's value in a dead letter where that holds an image; None = the value itself."""
    forgotten: bool = False
    """Whether the person was forgotten: then the image is neither stored nor looked at, nor is it named."""

    def burial(self, reason: DeadReason, detail: str, exception: str = "") -> Burial:
        """Bury the sample, with the message that brought it."""
        return Burial(self.subject.sample_id, self.message, reason, detail, exception=exception, value=self.kept)

    def burial_of_message(self, reason: DeadReason, detail: str) -> Burial:
        """Bury the message alone: the sample that it names is another one's."""
        return Burial(message_id(self.message), self.message, reason, detail, value=self.kept)


async def arrivals(messages: Sequence[Message], services: Services) -> tuple[list[Candidate], list[Burial]]:
    """Parse each message, and move inline images into the store."""
    candidates: list[Candidate] = []
    burials: list[Burial] = []
    parsed = [(message, _parsed(message)) for message in messages]
    bodies = [body for _, body in parsed if not isinstance(body, Refused)]
    called = await services.ledger.called({body.identity for body in bodies})
    for message, body in parsed:
        if isinstance(body, Refused):
            burials.append(await refused(message, body, services))
            continue
        forgotten = called[body.identity] != body.identity
        image = body.image or await _stored(body.inline_bytes(), services, keep=not forgotten)
        altered = forgotten or body.image is None
        body = body.model_copy(update={"image": image, "inline_image": None, "identity": called[body.identity]})
        payload = to_json(body)
        subject = trained(body, image) if isinstance(body, TrainingSamplePublished) else made(body, image)
        candidate = Candidate(subject, message, payload, image, payload if altered else None, forgotten)
        if isinstance(body, SampleGenerated) and body.sample_id != _derived_id(body):
            detail = "sample_id is not the one that source, request_id and index give"
            burials.append(candidate.burial_of_message(DeadReason.SCHEMA_INVALID, detail))
        else:
            candidates.append(candidate)
    return candidates, burials


def _parsed(message: Message) -> SampleGenerated | TrainingSamplePublished | Refused:
    if message.topic == topics.TRAINING_SAMPLES.name:
        return parse(message, TrainingSamplePublished)
    return parse(message, SampleGenerated)


async def _stored(encoded: bytes, services: Services, *, keep: bool) -> ImageRef:
    """Store an image; where it must not be kept, only return what would point at it."""
    if keep:
        return await services.images.put(encoded)
    return ImageRef(sha256=hashlib.sha256(encoded).hexdigest(), size=len(encoded))


def _derived_id(sample: SampleGenerated) -> str:
    return generated_sample_id(sample.source, sample.request_id, sample.index)


async def register_samples(
    candidates: Sequence[Candidate], services: Services
) -> tuple[dict[str, Registered], list[Burial]]:
    """Register what is not yet, and bury a message that brings another image or identity under a known id."""
    if not candidates:
        return {}, []
    now = services.now()
    groups = [
        [
            Registration(
                sample_id=candidate.subject.sample_id,
                kind=candidate.subject.kind,
                payload=candidate.payload,
                at=now,
                identity=candidate.subject.identity,
                model=candidate.subject.model,
                model_version=candidate.subject.model_version,
                seed=candidate.subject.seed,
                image=None if candidate.forgotten else candidate.image,
            )
        ]
        for candidate in candidates
    ]
    held = await services.ledger.register(groups)
    unpinned = {
        c.subject.sample_id: c.image
        for c in candidates
        if held[c.subject.sample_id].registration.image is None and not c.forgotten
    }
    pinned = await services.ledger.pin_images(unpinned) if unpinned else {}
    conflicts = []
    for candidate in candidates:
        subject, row = candidate.subject, held[candidate.subject.sample_id].registration
        image = candidate.image if candidate.forgotten else row.image or pinned.get(subject.sample_id)
        if (row.identity, row.model, image) != (subject.identity, subject.model, candidate.image):
            detail = f"sample {subject.sample_id} is known with another identity, model or image"
            conflicts.append(candidate.burial_of_message(DeadReason.REQUEST_CONFLICT, detail))
    return held, conflicts
