"""Asking for consent, and the verdict on what is refused without being made or looked at."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime

from streams.core import verdict
from streams.core.consent import Answer, Entry, permits, use_of
from streams.core.decide import decide
from streams.core.gallery import Identity
from streams.core.ledger import Outcome
from streams.core.measure import unmade
from streams.core.records import Message
from streams.core.subject import Subject
from streams.events import trace_of
from streams.ports import Appraising, Services


async def register_of(identities: Iterable[str], services: Appraising) -> dict[str, tuple[Entry, ...]]:
    """Return what the register says of each now. Nothing is kept from one batch to the next."""
    return await services.consent.entries(sorted(set(identities)))


def answer(subject: Subject, entries: Mapping[str, Sequence[Entry]], at: datetime) -> Answer:
    """Return whether making or showing this sample is permitted at a moment."""
    return permits(entries[subject.identity], use_of(subject), at)


async def refusals(
    refused: Sequence[tuple[Subject, Message]],
    enrolled: Mapping[str, Identity],
    entries: Mapping[str, Sequence[Entry]],
    services: Services,
    *,
    at: datetime,
) -> list[Outcome]:
    """Flag samples that nobody makes or looks at, with the reason.

    Args:
        refused: Each sample, and the message that asked for it.
        enrolled: Those of the asked identities that are enrolled.
        entries: What the register says of all of them.
        services: What the verdict says was in force.
        at: When consent was asked for. A grant that begins a moment later does not change the answer.
    """
    if not refused:
        return []
    gallery_version = await services.gallery.version()
    space = services.examiner.space.fingerprint
    now = services.now()
    outcomes = []
    for subject, message in refused:
        measurement = unmade(subject, enrolled.get(subject.identity), space=space, gallery_version=gallery_version)
        refusal = answer(subject, entries, at)
        judgement = decide(measurement, services.policy, refusal.consent, refusal.unmet)
        judged = verdict.verdict(subject, measurement, judgement, services.policy, now=now)
        outcomes.append(verdict.outcome(judged, measurement, trace_of(message.headers)))
    return outcomes
