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
from streams.core.ledger import Outcome, Registered, State
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
from streams.steps.register import register

#: So many images are made, stored and pinned before the next ones: a crash repeats no more than these.
MADE_TOGETHER = 32


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
    burials = [await refused(message, body, services) for message, body in parsed if isinstance(body, Refused)]
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

    registry = await register([request for _, request in requests], services.ledger, at=now, versions=versions)
    held = registry.held
    agreed = [each for place, each in enumerate(requests) if place not in registry.conflicts]

    orders = _open_orders(agreed, held, versions, enrolled)
    forbidden = [order for order in orders if order.subject.identity not in allowed]
    unserved = [o for o in orders if o.subject.identity in allowed and o.subject.model_version is None]
    makeable = [o for o in orders if o.subject.identity in allowed and o.subject.model_version is not None]
    burials += [_conflict(*requests[place]) for place in sorted(registry.conflicts)]
    burials += map(_no_generator, unserved)

    makeable = await _pin_versions(makeable, held, services)
    images, rejected = await _make([order for order in makeable if order.subject.image is None], services)
    burials += rejected
    ended = await _unmade_verdicts(forbidden, enrolled, consent, services) + await bury(burials, "generate", services)
    decided = await services.ledger.decide(once(ended)) if ended else []
    known = await unpublished({subject.sample_id for _, request in agreed for subject in _subjects(request)}, services)
    samples = [_sample_record(order, images, held) for order in makeable if _image_of(order, images)]
    return effects([*decided, *known], samples)


def _subjects(request: GenerationRequested) -> list[Subject]:
    return [asked(request, index) for index in range(request.count)]


def _open_orders(
    requests: Sequence[tuple[Message, GenerationRequested]],
    held: Mapping[str, Registered],
    versions: Mapping[str, str],
    enrolled: Mapping[str, Identity],
) -> list[_Order]:
    """Return each sample that has no end yet, once, however many messages of the batch ask for it."""
    orders: dict[str, _Order] = {}
    for message, request in requests:
        target = enrolled.get(request.identity)
        conditioning = tuple(target.conditioning.get(request.model, ())) if target else ()
        for subject in _subjects(request):
            row = held[subject.sample_id]
            if row.state is not State.IN_FLIGHT or subject.sample_id in orders:
                continue
            pinned = row.registration
            # No version is pinned where none could be when the request was registered; what can be made now, is made.
            version = pinned.model_version or versions.get(request.model)
            subject = replace(subject, model_version=version, image=pinned.image)
            prompt = Prompt(subject.seed or 0, conditioning, request.strength)
            orders[subject.sample_id] = _Order(subject, message, prompt)
    return list(orders.values())


def _no_generator(order: _Order) -> Burial:
    detail = f"no generator {order.subject.model} is served"
    return Burial(order.subject.sample_id, order.message, DeadReason.GENERATOR_REJECTED, detail)


async def _model_versions(models: Iterable[str], services: Services) -> dict[str, str]:
    """Return the version of each model that is served; a model that nobody serves is missing from it."""
    versions = {}
    for model in sorted(models):
        try:
            versions[model] = await services.generator.version(model)
        except GeneratorRejected:
            continue
    return versions


def _conflict(message: Message, request: GenerationRequested) -> Burial:
    detail = f"request {request.request_id} of {request.source} was asked before with another content"
    return Burial(message_id(message), message, DeadReason.REQUEST_CONFLICT, detail)


async def _pin_versions(orders: Sequence[_Order], held: Mapping[str, Registered], services: Services) -> list[_Order]:
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


async def _make(orders: Sequence[_Order], services: Services) -> tuple[dict[str, ImageRef], list[Burial]]:
    """Have the images made, model by model; return the pinned image of each sample, and what was refused."""
    by_model: dict[tuple[str, str], list[_Order]] = defaultdict(list)
    for order in orders:
        by_model[order.subject.model, order.subject.model_version or ""].append(order)
    images: dict[str, ImageRef] = {}
    rejected: list[Burial] = []
    for group in by_model.values():
        for start in range(0, len(group), MADE_TOGETHER):
            made, refused_here = await _make_together(group[start : start + MADE_TOGETHER], services)
            images |= made
            rejected += refused_here
    return images, rejected


async def _make_together(group: Sequence[_Order], services: Services) -> tuple[dict[str, ImageRef], list[Burial]]:
    """Make images with one model. Where one of the group is refused, each is asked for alone: no other pays for it."""
    first = group[0]
    try:
        pixels = await services.generator.generate(
            first.subject.model, first.subject.model_version or "", [order.prompt for order in group]
        )
    except GeneratorRejected as error:
        if len(group) == 1:
            reason, name = DeadReason.GENERATOR_REJECTED, type(error).__name__
            return {}, [Burial(first.subject.sample_id, first.message, reason, str(error), exception=name)]
        alone = [await _make_together([order], services) for order in group]
        return {key: ref for made, _ in alone for key, ref in made.items()}, [b for _, buried in alone for b in buried]
    images = {
        order.subject.sample_id: await services.images.put_pixels(picture)
        for order, picture in zip(group, pixels, strict=True)
    }
    return await services.ledger.pin_images(images), []


async def _unmade_verdicts(
    forbidden: Sequence[_Order],
    enrolled: Mapping[str, Identity],
    consent: Mapping[str, Consent],
    services: Services,
) -> list[Outcome]:
    """Flag samples that are never made, with the reason."""
    if not forbidden:
        return []
    gallery_version = await services.gallery.version()
    space = services.examiner.space.fingerprint
    now = services.now()
    outcomes = []
    for order in forbidden:
        subject = order.subject
        target = enrolled.get(subject.identity)
        measurement = unmade(subject, target, space=space, gallery_version=gallery_version)
        judgement = decide(measurement, services.policy, consent[subject.identity])
        judged = verdict.verdict(subject, measurement, judgement, services.policy, now=now)
        outcomes.append(verdict.outcome(judged, measurement, trace_of(order.message.headers)))
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
