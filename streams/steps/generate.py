"""From ``generation.requests`` to ``generation.samples``: what consent allows is made, and nothing else."""

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from streams import topics
from streams.core.deadletter import Burial
from streams.core.decide import may_generate
from streams.core.gallery import Identity
from streams.core.ids import message_id
from streams.core.ledger import Registered, State
from streams.core.parse import Refused, parse
from streams.core.records import Message, Record
from streams.core.subject import Subject, asked
from streams.errors import GeneratorRejected
from streams.events import (
    DeadReason,
    GenerationRequested,
    SampleGenerated,
    cloud_event,
    to_json,
    trace_of,
)
from streams.ports import Prompt, Services
from streams.steps.consent import answer, refusals, register_of
from streams.steps.ends import Effects, bury, effects, once, refused, unpublished
from streams.steps.frames import with_frames
from streams.steps.make import Order, make
from streams.steps.register import as_called, register


async def generate(messages: Sequence[Message], services: Services) -> Effects:
    """From ``generation.requests`` to ``generation.samples``: only what consent allows reaches a generator."""
    now = services.now()
    parsed = [(message, parse(message, GenerationRequested)) for message in messages]
    burials = [await refused(message, body, services) for message, body in parsed if isinstance(body, Refused)]
    requests = [(message, body) for message, body in parsed if isinstance(body, GenerationRequested)]
    called = await as_called([request for _, request in requests], services.ledger)
    requests = [(message, request) for (message, _), request in zip(requests, called, strict=True)]

    names = sorted({request.identity for _, request in requests})
    enrolled = await services.gallery.identities(names)
    entries = await register_of(names, services)

    def allowed(subject: Subject) -> bool:
        target = enrolled.get(subject.identity)
        consent = answer(subject, entries, now).consent
        return may_generate(enrolled=target is not None, protected=bool(target and target.protected), consent=consent)

    wanted = {request.model for _, request in requests if allowed(asked(request, 0))}
    versions, unserved = await _model_versions(wanted, services)

    registry = await register([request for _, request in requests], services.ledger, at=now, versions=versions)
    held = registry.held
    agreed = [each for place, each in enumerate(requests) if place not in registry.conflicts]

    orders = _open_orders(agreed, held, versions, enrolled)
    permitted = [order for order in orders if allowed(order.subject)]
    forbidden = [(order.subject, order.message) for order in orders if not allowed(order.subject)]
    unmakeable = [order for order in permitted if order.subject.model_version is None]
    makeable = [order for order in permitted if order.subject.model_version is not None]
    burials += [_conflict(*requests[place]) for place in sorted(registry.conflicts)]
    burials += [_no_generator(order, unserved[order.subject.model]) for order in unmakeable]

    makeable = await _pin_versions(makeable, held, services)
    makeable, frameless = await with_frames(makeable, services)
    made, rejected = await make(makeable, services)
    burials += frameless + rejected
    flagged = await refusals(forbidden, enrolled, entries, services, at=now)
    ended = flagged + await bury(burials, "generate", services)
    decided = await services.ledger.decide(once(ended)) if ended else []
    known = await unpublished({subject.sample_id for _, request in agreed for subject in _subjects(request)}, services)
    samples = [_sample_record(made[o.subject.sample_id], held) for o in makeable if o.subject.sample_id in made]
    return effects([*decided, *known], samples)


def _subjects(request: GenerationRequested) -> list[Subject]:
    return [asked(request, index) for index in range(request.count)]


def _open_orders(
    requests: Sequence[tuple[Message, GenerationRequested]],
    held: Mapping[str, Registered],
    versions: Mapping[str, str],
    enrolled: Mapping[str, Identity],
) -> list[Order]:
    """Return each sample that has no end yet, once, however many messages of the batch ask for it."""
    orders: dict[str, Order] = {}
    for message, request in requests:
        target = enrolled.get(request.identity)
        conditioning = tuple(target.conditioning.get(request.model, ())) if target else ()
        centroid = tuple(map(float, target.centroid)) if target else ()
        for subject in _subjects(request):
            row = held[subject.sample_id]
            if row.state is not State.IN_FLIGHT or subject.sample_id in orders:
                continue
            pinned = row.registration
            # No version is pinned where none could be when the request was registered; what can be made now, is made.
            version = pinned.model_version or versions.get(request.model)
            subject = replace(subject, model_version=version, image=pinned.image)
            prompt = Prompt(subject.seed or 0, conditioning, request.strength, centroid)
            orders[subject.sample_id] = Order(subject, message, prompt, request.frame)
    return list(orders.values())


def _no_generator(order: Order, error: GeneratorRejected) -> Burial:
    reason, name = DeadReason.GENERATOR_REJECTED, type(error).__name__
    return Burial(order.subject.sample_id, order.message, reason, str(error), exception=name)


async def _model_versions(
    models: Iterable[str], services: Services
) -> tuple[dict[str, str], dict[str, GeneratorRejected]]:
    """Return the version of each model that is served, and of each other one why it is not.

    All are asked at once: what is missing is waited for some seconds, which are the same for all of them.
    """
    names = sorted(models)
    answers = await asyncio.gather(*map(services.generator.version, names), return_exceptions=True)
    versions: dict[str, str] = {}
    unserved: dict[str, GeneratorRejected] = {}
    for model, said in zip(names, answers, strict=True):
        if isinstance(said, GeneratorRejected):
            unserved[model] = said
        elif isinstance(said, BaseException):
            raise said
        else:
            versions[model] = said
    return versions, unserved


def _conflict(message: Message, request: GenerationRequested) -> Burial:
    detail = f"request {request.request_id} of {request.source} was asked before with another content"
    return Burial(message_id(message), message, DeadReason.REQUEST_CONFLICT, detail)


async def _pin_versions(orders: Sequence[Order], held: Mapping[str, Registered], services: Services) -> list[Order]:
    """Pin the version of each sample that was registered without one, before its image is made.

    Pinned later, a worker that dies in between would leave an image of one version for the next to call another's.
    """
    unpinned = {
        order.subject.sample_id: order.subject.model_version or ""
        for order in orders
        if held[order.subject.sample_id].registration.model_version is None
    }
    pinned = await services.ledger.pin_versions(unpinned) if unpinned else {}
    return [
        replace(order, subject=replace(order.subject, model_version=pinned[order.subject.sample_id]))
        if order.subject.sample_id in pinned
        else order
        for order in orders
    ]


def _sample_record(order: Order, held: Mapping[str, Registered]) -> Record:
    """Return the sample's record. Its time is that of the registration, so that it repeats to the byte."""
    subject = order.subject
    sample = SampleGenerated(
        sample_id=subject.sample_id,
        source=subject.source,
        request_id=subject.request_id or "",
        index=subject.index,
        identity=subject.identity,
        model=subject.model,
        model_version=subject.model_version or "",
        seed=subject.seed or 0,
        strength=subject.strength or 0.0,
        territory=subject.territory,
        clip_id=subject.clip_id,
        frame_index=subject.frame_index,
        frames=subject.frames,
        image=subject.image,
    )
    at = held[subject.sample_id].registration.at
    source = f"/likeness/generate/{subject.model}"
    headers = cloud_event(sample, id=subject.sample_id, source=source, time=at, trace=trace_of(order.message.headers))
    return Record(topics.GENERATION_SAMPLES.name, subject.sample_id.encode(), to_json(sample), headers, at)
