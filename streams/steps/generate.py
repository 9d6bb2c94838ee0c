"""From ``generation.requests`` to ``generation.samples``: what consent allows is made, and nothing else."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from streams import topics
from streams.core import verdict
from streams.core.consent import Consent
from streams.core.deadletter import Burial
from streams.core.decide import decide, may_generate
from streams.core.gallery import Identity
from streams.core.ids import message_id
from streams.core.ledger import Outcome, Registered, Registration, State
from streams.core.measure import unmade
from streams.core.parse import Refused, parse
from streams.core.records import Message, Record
from streams.core.subject import Subject, asked
from streams.errors import GeneratorRejected
from streams.events import (
    DeadReason,
    GenerationRequested,
    ImageRef,
    SampleGenerated,
    cloud_event,
    to_json,
    trace_of,
)
from streams.ports import Prompt, Services
from streams.steps.ends import Effects, bury, effects, once, refused, unpublished


@dataclass(frozen=True)
class _Order:
    """One sample that was asked for, and the message that asked."""

    subject: Subject
    message: Message
    prompt: Prompt


async def generate(messages: Sequence[Message], services: Services) -> Effects:
    """From ``generation.requests`` to ``generation.samples``: only what consent allows reaches a generator."""
    now = services.now()
    parsed = [(message, parse(message, GenerationRequested)) for message in messages]
    burials = [refused(message, body) for message, body in parsed if isinstance(body, Refused)]
    requests = [(message, body) for message, body in parsed if isinstance(body, GenerationRequested)]

    names = sorted({request.identity for _, request in requests})
    enrolled = await services.gallery.identities(names)
    consent = await services.consent.states(names, now)
    allowed = {
        name
        for name in names
        if may_generate(
            enrolled=name in enrolled,
            protected=name in enrolled and enrolled[name].protected,
            consent=consent[name],
        )
    }
    versions = await _model_versions({r.model for _, r in requests if r.identity in allowed}, services)

    held, conflicts = await _register_requests(requests, versions, allowed, services)
    burials += conflicts
    conflicting = {burial.message for burial in conflicts}

    orders: list[_Order] = []
    forbidden: list[tuple[Subject, Message]] = []
    for message, request in requests:
        if message in conflicting:
            continue
        for index in range(request.count):
            subject = _pinned(asked(request, index), held)
            row = held[subject.sample_id]
            if row.state is not State.IN_FLIGHT:
                continue
            if request.identity not in allowed:
                forbidden.append((subject, message))
            elif subject.model_version is None:
                detail = f"no generator {request.model} is served"
                burials.append(Burial(subject.sample_id, message, DeadReason.GENERATOR_REJECTED, detail))
            else:
                conditioning = enrolled[request.identity].conditioning.get(request.model, ())
                prompt = Prompt(subject.seed or 0, tuple(conditioning), request.strength)
                orders.append(_Order(subject, message, prompt))

    images, rejected = await _make([order for order in orders if order.subject.image is None], services)
    burials += rejected
    ended = await _unmade_verdicts(forbidden, enrolled, consent, services) + await bury(burials, "generate", services)
    decided = await services.ledger.decide(once(ended))
    known = await unpublished(
        {s.sample_id for m, r in requests if m not in conflicting for s in _subjects(r)}, services
    )
    samples = [_sample_record(order, images, held) for order in orders if _image_of(order, images)]
    return effects([*decided, *known], samples)


def _subjects(request: GenerationRequested) -> list[Subject]:
    return [asked(request, index) for index in range(request.count)]


async def _model_versions(models: Iterable[str], services: Services) -> dict[str, str]:
    """Return the version of each model that is served; a model that nobody serves is missing from it."""
    versions = {}
    for model in sorted(models):
        try:
            versions[model] = await services.generator.version(model)
        except GeneratorRejected:
            continue
    return versions


async def _register_requests(
    requests: Sequence[tuple[Message, GenerationRequested]],
    versions: Mapping[str, str],
    allowed: set[str],
    services: Services,
) -> tuple[dict[str, Registered], list[Burial]]:
    """Register every sample of every request before anything is made; seed and model version are pinned here."""
    now = services.now()
    groups = []
    for _, request in requests:
        payload = to_json(request)
        pinned = versions.get(request.model) if request.identity in allowed else None
        groups.append(
            [
                Registration(
                    sample_id=subject.sample_id,
                    kind="generation",
                    payload=payload,
                    at=now,
                    identity=request.identity,
                    model=request.model,
                    model_version=pinned,
                    seed=subject.seed,
                )
                for subject in _subjects(request)
            ]
        )
    held = await services.ledger.register(groups) if groups else {}
    conflicts = [
        Burial(
            message_id(message.topic, message.partition, message.offset),
            message,
            DeadReason.REQUEST_CONFLICT,
            f"request {request.request_id} of {request.source} was asked before with another content",
        )
        for (message, request), group in zip(requests, groups, strict=True)
        if held[group[0].sample_id].registration.payload != group[0].payload
    ]
    return held, conflicts


def _pinned(subject: Subject, held: Mapping[str, Registered]) -> Subject:
    registration = held[subject.sample_id].registration
    return replace(subject, model_version=registration.model_version, image=registration.image)


async def _make(orders: Sequence[_Order], services: Services) -> tuple[dict[str, ImageRef], list[Burial]]:
    """Have the images made, model by model; return the pinned image of each sample, and what was refused."""
    by_model: dict[tuple[str, str], list[_Order]] = defaultdict(list)
    for order in orders:
        by_model[order.subject.model, order.subject.model_version or ""].append(order)
    images: dict[str, ImageRef] = {}
    rejected: list[Burial] = []
    for (model, version), group in by_model.items():
        try:
            pixels = await services.generator.generate(model, version, [order.prompt for order in group])
        except GeneratorRejected as error:
            if len(group) == 1:
                burial = Burial(group[0].subject.sample_id, group[0].message, DeadReason.GENERATOR_REJECTED, str(error))
                rejected.append(burial)
                continue
            for order in group:  # one of them is refused: the others must not pay for it
                made_alone, rejected_alone = await _make([order], services)
                images |= made_alone
                rejected += rejected_alone
            continue
        for order, picture in zip(group, pixels, strict=True):
            images[order.subject.sample_id] = await services.images.put_pixels(picture)
    return (await services.ledger.pin_images(images) if images else {}), rejected


async def _unmade_verdicts(
    forbidden: Sequence[tuple[Subject, Message]],
    enrolled: Mapping[str, Identity],
    consent: Mapping[str, Consent],
    services: Services,
) -> list[Outcome]:
    """Flag samples that are never made, with the reason."""
    if not forbidden:
        return []
    gallery_version = await services.gallery.version()
    space = services.examiner.space.fingerprint
    outcomes = []
    for subject, message in forbidden:
        target = enrolled.get(subject.identity)
        measurement = unmade(subject, target, space=space, gallery_version=gallery_version)
        judgement = decide(measurement, services.policy, consent[subject.identity])
        judged = verdict.verdict(subject, measurement, judgement, services.policy, now=services.now())
        outcomes.append(verdict.outcome(judged, measurement, trace_of(message.headers)))
    return outcomes


def _image_of(order: _Order, images: Mapping[str, ImageRef]) -> ImageRef | None:
    return order.subject.image or images.get(order.subject.sample_id)


def _sample_record(order: _Order, images: Mapping[str, ImageRef], held: Mapping[str, Registered]) -> Record:
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
        image=_image_of(order, images),
    )
    at = held[subject.sample_id].registration.at
    source = f"/likeness/generate/{subject.model}"
    headers = cloud_event(sample, id=subject.sample_id, source=source, time=at, trace=trace_of(order.message.headers))
    return Record(topics.GENERATION_SAMPLES.name, subject.sample_id.encode(), to_json(sample), headers, at)
