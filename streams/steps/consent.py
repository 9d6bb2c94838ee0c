"""Asking for consent, and the verdict on what is refused without being made or looked at."""

from collections.abc import Iterable, Mapping, Sequence

from streams.core import verdict
from streams.core.consent import Answer, Entry, permits, use_of
from streams.core.decide import decide
from streams.core.gallery import Identity
from streams.core.ledger import Outcome
from streams.core.measure import unmade
from streams.core.records import Message
from streams.core.subject import Subject
from streams.events import trace_of
from streams.ports import Services


async def register_of(identities: Iterable[str], services: Services) -> dict[str, tuple[Entry, ...]]:
    """Return what the register says of each now. Nothing is kept from one batch to the next."""
    return await services.consent.entries(sorted(set(identities)))


def asked(subject: Subject, entries: Mapping[str, Sequence[Entry]], services: Services) -> Answer:
    """Return whether making or showing this sample is permitted now."""
    return permits(entries[subject.identity], use_of(subject), services.now())


async def refusals(
    refused: Sequence[tuple[Subject, Message]],
    enrolled: Mapping[str, Identity],
    entries: Mapping[str, Sequence[Entry]],
    services: Services,
) -> list[Outcome]:
    """Flag samples that nobody makes or looks at, with the reason.

    Args:
        refused: Each sample, and the message that asked for it.
        enrolled: Those of the asked identities that are enrolled.
        entries: What the register says of all of them.
        services: What the verdict says was in force.
    """
    if not refused:
        return []
    gallery_version = await services.gallery.version()
    space = services.examiner.space.fingerprint
    now = services.now()
    outcomes = []
    for subject, message in refused:
        measurement = unmade(subject, enrolled.get(subject.identity), space=space, gallery_version=gallery_version)
        answer = asked(subject, entries, services)
        judgement = decide(measurement, services.policy, answer.consent, answer.unmet)
        judged = verdict.verdict(subject, measurement, judgement, services.policy, now=now)
        outcomes.append(verdict.outcome(judged, measurement, trace_of(message.headers)))
    return outcomes
