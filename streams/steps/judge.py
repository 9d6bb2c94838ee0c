"""From ``generation.samples`` and ``training.samples`` to a verdict on each sample, once."""

import asyncio
import hashlib
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from streams import topics
from streams.core import verdict
from streams.core.deadletter import CRASH_LOOP_DEATHS, Burial
from streams.core.faces import Embedding, Examined, Sighting, Undecodable
from streams.core.ids import generated_sample_id, message_id
from streams.core.ledger import Outcome, Registered, Registration, State
from streams.core.parse import Refused, parse
from streams.core.records import Message
from streams.core.subject import Subject, made, trained
from streams.errors import DependencyUnavailable, ExaminerDied, ImageAltered, ImageMissing
from streams.events import (
    IMAGE_BYTES,
    DeadReason,
    ImageRef,
    ReasonCode,
    SampleGenerated,
    TrainingSamplePublished,
    to_json,
    trace_of,
)
from streams.ports import Services
from streams.steps.appraise import appraise
from streams.steps.consent import answer, refusals, register_of
from streams.steps.ends import Effects, bury, effects, once, refused, unpublished
from streams.steps.explain import explained

#: From this attempt on a sample is examined alone, in a child process.
ALONE_FROM_ATTEMPT = 3


@dataclass(frozen=True)
class _Candidate:
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
        return Burial(self.subject.sample_id, self.message, reason, detail, exception=exception, value=self.kept)

    def burial_of_message(self, reason: DeadReason, detail: str) -> Burial:
        """Bury the message alone: the sample that it names is another one's."""
        return Burial(message_id(self.message), self.message, reason, detail, value=self.kept)


async def judge(messages: Sequence[Message], services: Services) -> Effects:
    """From ``generation.samples`` and ``training.samples`` to a verdict on each sample, once."""
    candidates, burials = await _arrivals(messages, services)
    held, conflicts = await _register_samples(candidates, services)
    burials += conflicts
    conflicting = {burial.message for burial in conflicts}
    known = {c.subject.sample_id for c in candidates if c.message not in conflicting}
    open_: dict[str, _Candidate] = {}
    for c in candidates:
        if c.message not in conflicting and held[c.subject.sample_id].state is State.IN_FLIGHT:
            open_.setdefault(c.subject.sample_id, c)
    attempts = await services.ledger.attempt(list(open_)) if open_ else {}
    try:
        decided = await _decided(open_, attempts, burials, services)
    except DependencyUnavailable:
        # An outage says nothing about a sample: only attempts that ended with the process count.
        await services.ledger.take_back_attempt(list(open_))
        raise
    await _take_back([c for c in candidates if c.message not in conflicting], services)
    ended_before = known.difference(outcome.sample_id for outcome in decided)
    return effects([*decided, *await unpublished(ended_before, services)], [])


async def _decided(
    candidates: Mapping[str, _Candidate], attempts: Mapping[str, int], burials: Sequence[Burial], services: Services
) -> list[Outcome]:
    """Judge the candidates, and have the ledger decide; with them what is buried without a look."""
    unseen = [candidate for candidate in candidates.values() if candidate.forgotten]
    seen = {key: candidate for key, candidate in candidates.items() if not candidate.forgotten}
    judged, buried_here, embeddings = await _look(seen, attempts, services)
    unlooked = await _refuse_forgotten(unseen, services)
    counted = [replace(one, attempts=attempts.get(one.sample_id, 0)) for one in [*burials, *buried_here]]
    buried = await bury(counted, "judge", services)
    # What is decided is never examined again, so its embedding must be stored before.
    if embeddings:
        await services.gallery.remember(embeddings)
    ended = once([*judged, *unlooked, *buried])
    return await services.ledger.decide(ended) if ended else []


async def _refuse_forgotten(candidates: Sequence[_Candidate], services: Services) -> list[Outcome]:
    """Flag samples of those who were forgotten, without a look at them."""
    entries = await register_of({c.subject.identity for c in candidates}, services) if candidates else {}
    refused = [(replace(c.subject, image=None), c.message) for c in candidates]
    return await refusals(refused, {}, entries, services, at=services.now())


async def _take_back(candidates: Sequence[_Candidate], services: Services) -> None:
    """Take out the embeddings of those who do not agree now, though they did when these were stored.

    Before the batch counts as done: whoever forgets somebody afterwards finds nothing that comes later.
    """
    entries = await register_of({c.subject.identity for c in candidates}, services) if candidates else {}
    ids = {c.subject.sample_id for c in candidates if not answer(c.subject, entries, services.now()).granted}
    if ids and (held := await services.gallery.recall(sorted(ids))):
        await services.gallery.unremember(sorted(held))


async def _look(
    candidates: Mapping[str, _Candidate], attempts: Mapping[str, int], services: Services
) -> tuple[list[Outcome], list[Burial], dict[str, Embedding]]:
    """Read, examine and appraise the images; return the verdicts, what is buried, and every face's embedding."""
    # Asked before anything is examined: an outage of the gallery must not cost the examination over and over.
    gallery_version = await services.gallery.version() if candidates else ""
    encoded, burials = await _fetch(candidates, services)
    started = time.perf_counter()
    examined, crashed = await _examine(encoded, attempts, candidates, services)
    examine_ms = round((time.perf_counter() - started) * 1000 / max(1, len(examined)), 2)
    burials += crashed
    burials += [
        candidates[key].burial(seen.reason, seen.detail, seen.exception)
        for key, seen in examined.items()
        if isinstance(seen, Undecodable)
    ]
    sightings = {key: seen for key, seen in examined.items() if isinstance(seen, Sighting)}
    subjects = {key: candidate.subject for key, candidate in candidates.items()}
    appraised = await appraise(subjects, sightings, services, gallery_version=gallery_version, examine_ms=examine_ms)
    appraised = await explained(appraised, services, gallery_version=gallery_version)
    judged = [
        verdict.outcome(one.judged, one.measurement, trace_of(candidates[one.judged.sample_id].message.headers))
        for one in appraised
    ]
    embeddings = {
        one.judged.sample_id: one.embedding
        for one in appraised
        # Nothing is kept of whom consent does not cover.
        if one.embedding is not None and all(reason.code is not ReasonCode.NO_CONSENT for reason in one.judged.reasons)
    }
    return judged, burials, embeddings


async def _arrivals(messages: Sequence[Message], services: Services) -> tuple[list[_Candidate], list[Burial]]:
    """Parse each message, and move inline images into the store."""
    candidates: list[_Candidate] = []
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
        candidate = _Candidate(subject, message, payload, image, payload if altered else None, forgotten)
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


async def _register_samples(
    candidates: Sequence[_Candidate], services: Services
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


async def _fetch(candidates: Mapping[str, _Candidate], services: Services) -> tuple[dict[str, bytes], list[Burial]]:
    """Read the images, all at once: a store far away takes long to answer; one gone or altered buries its sample."""
    found = await asyncio.gather(*(_read(candidate, services) for candidate in candidates.values()))
    encoded = {key: one for key, one in zip(candidates, found, strict=True) if isinstance(one, bytes)}
    return encoded, [one for one in found if isinstance(one, Burial)]


async def _read(candidate: _Candidate, services: Services) -> bytes | Burial:
    if candidate.image.size > IMAGE_BYTES:
        detail = f"{candidate.image.size} bytes; allowed are {IMAGE_BYTES}"
        return candidate.burial(DeadReason.IMAGE_TOO_LARGE, detail)
    try:
        return await services.images.get(candidate.image)
    except ImageMissing as error:
        return candidate.burial(DeadReason.IMAGE_MISSING, str(error), type(error).__name__)
    except ImageAltered as error:
        return candidate.burial(DeadReason.IMAGE_ALTERED, str(error), type(error).__name__)


async def _examine(
    encoded: Mapping[str, bytes],
    attempts: Mapping[str, int],
    candidates: Mapping[str, _Candidate],
    services: Services,
) -> tuple[dict[str, Examined], list[Burial]]:
    """Look at the images in one batch, those that were tried often before one by one in a child process.

    Many attempts prove nothing about a sample: the process may have died of something else. Only a child that dies
    with this sample alone does.
    """
    together = [key for key in encoded if attempts[key] < ALONE_FROM_ATTEMPT]
    seen = await services.examiner.examine([encoded[key] for key in together]) if together else []
    examined: dict[str, Examined] = dict(zip(together, seen, strict=True))
    burials: list[Burial] = []
    for key in [key for key in encoded if key not in examined]:
        deaths = 0
        while key not in examined and deaths < CRASH_LOOP_DEATHS:
            try:
                [examined[key]] = await services.lone_examiner.examine([encoded[key]])
            except ExaminerDied as error:
                deaths = await services.ledger.child_death(key)
                detail = f"{deaths} processes died of it: {error}"
        if key not in examined:
            burials.append(candidates[key].burial(DeadReason.CRASH_LOOP, detail, ExaminerDied.__name__))
    return examined, burials
