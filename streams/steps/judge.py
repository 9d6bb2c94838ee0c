"""From ``generation.samples`` and ``training.samples`` to a verdict on each sample, once."""

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace

from streams.core import verdict
from streams.core.deadletter import CRASH_LOOP_DEATHS, Burial
from streams.core.faces import Examined, Sighting, Undecodable
from streams.core.ledger import Outcome, State
from streams.core.records import Message
from streams.errors import DependencyUnavailable, ExaminerDied, ImageAltered, ImageMissing
from streams.events import IMAGE_BYTES, DeadReason, ReasonCode, trace_of
from streams.ports import Services
from streams.steps.appraise import Appraised, appraise
from streams.steps.arrivals import Candidate, arrivals, register_samples
from streams.steps.consent import answer, refusals, register_of
from streams.steps.ends import Effects, bury, effects, once, unpublished
from streams.steps.explain import explained

#: From this attempt on a sample is examined alone, in a child process.
ALONE_FROM_ATTEMPT = 3


async def judge(messages: Sequence[Message], services: Services) -> Effects:
    """From ``generation.samples`` and ``training.samples`` to a verdict on each sample, once."""
    candidates, burials = await arrivals(messages, services)
    held, conflicts = await register_samples(candidates, services)
    burials += conflicts
    conflicting = {burial.message for burial in conflicts}
    known = {c.subject.sample_id for c in candidates if c.message not in conflicting}
    open_: dict[str, Candidate] = {}
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
    candidates: Mapping[str, Candidate], attempts: Mapping[str, int], burials: Sequence[Burial], services: Services
) -> list[Outcome]:
    """Judge the candidates, and have the ledger decide; with them what is buried without a look."""
    unseen = [candidate for candidate in candidates.values() if candidate.forgotten]
    seen = {key: candidate for key, candidate in candidates.items() if not candidate.forgotten}
    judged, buried_here = await _look(seen, attempts, services)
    unlooked = await _refuse_forgotten(unseen, services)
    counted = [replace(one, attempts=attempts.get(one.sample_id, 0)) for one in [*burials, *buried_here]]
    buried = await bury(counted, "judge", services)
    ended = once([*judged, *unlooked, *buried])
    return await services.ledger.decide(ended) if ended else []


async def _refuse_forgotten(candidates: Sequence[Candidate], services: Services) -> list[Outcome]:
    """Flag samples of those who were forgotten, without a look at them."""
    entries = await register_of({c.subject.identity for c in candidates}, services) if candidates else {}
    refused = [(replace(c.subject, image=None), c.message) for c in candidates]
    return await refusals(refused, {}, entries, services, at=services.now())


async def _take_back(candidates: Sequence[Candidate], services: Services) -> None:
    """Take out the embeddings of those who do not agree now, though they did when these were stored.

    Before the batch counts as done: whoever forgets somebody afterwards finds nothing that comes later.
    """
    entries = await register_of({c.subject.identity for c in candidates}, services) if candidates else {}
    ids = {c.subject.sample_id for c in candidates if not answer(c.subject, entries, services.now()).granted}
    if ids and (held := await services.gallery.recall(sorted(ids))):
        await services.gallery.unremember(sorted(held))


async def _look(
    candidates: Mapping[str, Candidate], attempts: Mapping[str, int], services: Services
) -> tuple[list[Outcome], list[Burial]]:
    """Read, examine and appraise the images; return the verdicts, and what is buried. Embeddings are stored by then."""
    if not candidates:
        return [], []
    # Asked before anything is examined: an outage of the gallery must not cost the examination over and over.
    gallery_version, (encoded, burials) = await asyncio.gather(services.gallery.version(), _fetch(candidates, services))
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
    # What is decided is never examined again, so its embedding must be stored before.
    remembering = asyncio.ensure_future(_remember(appraised, services))
    try:
        appraised = await explained(appraised, services)
    finally:
        await remembering  # or it might end after the batch was tried again, and somebody was forgotten
    judged = [
        verdict.outcome(one.judged, one.measurement, trace_of(candidates[one.judged.sample_id].message.headers))
        for one in appraised
    ]
    return judged, burials


async def _remember(appraised: Sequence[Appraised], services: Services) -> None:
    """Store every face's embedding; of whom consent does not cover nothing is kept."""
    embeddings = {
        one.judged.sample_id: one.embedding
        for one in appraised
        if one.embedding is not None and all(reason.code is not ReasonCode.NO_CONSENT for reason in one.judged.reasons)
    }
    if embeddings:
        await services.gallery.remember(embeddings)


async def _fetch(candidates: Mapping[str, Candidate], services: Services) -> tuple[dict[str, bytes], list[Burial]]:
    """Read the images, all at once: a store far away takes long to answer; one gone or altered buries its sample."""
    found = await asyncio.gather(*(_read(candidate, services) for candidate in candidates.values()))
    encoded = {key: one for key, one in zip(candidates, found, strict=True) if isinstance(one, bytes)}
    return encoded, [one for one in found if isinstance(one, Burial)]


async def _read(candidate: Candidate, services: Services) -> bytes | Burial:
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
    candidates: Mapping[str, Candidate],
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
