"""Consent: who may be shown for what, by which model, where and until when. One rule, asked wherever it matters.

At the request, at the output, at enrolment, and by whoever judges recorded samples again.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from streams.core.subject import Subject
from streams.events import TERRITORY


class Purpose(StrEnum):
    """What somebody agreed to."""

    TRAINING = "training"
    """To be shown by samples of training runs."""
    GENERATION = "generation"
    """To be generated; samples of training runs among it."""
    PROTECTION = "protection"
    """To be enrolled only so that nobody generates them."""


#: Which purposes permit a use: an image that a training run makes is an image that a generator makes.
_PERMITTED_BY = {
    Purpose.GENERATION: (Purpose.GENERATION,),
    Purpose.TRAINING: (Purpose.TRAINING, Purpose.GENERATION),
    Purpose.PROTECTION: (Purpose.PROTECTION,),
}


class Consent(StrEnum):
    """Whether a person agrees to a use now."""

    GRANTED = "granted"
    NOT_COVERED = "not-covered"
    """They agreed to something else."""
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    MISSING = "missing"


@dataclass(frozen=True)
class Terms:
    """What a grant permits. Where nothing is named, there is no limit."""

    models: tuple[str, ...] = ()
    """``model``, or ``model@version``."""
    territories: tuple[str, ...] = ()
    """ISO 3166 codes, ``DE`` or ``US-TN``; a country holds its parts."""


ANYWHERE = Terms()


@dataclass(frozen=True)
class Entry:
    """One line of the register. Lines are added, never changed."""

    number: int
    """Orders the entries of the register."""
    identity: str
    kind: Literal["granted", "withdrawn"]
    at: datetime
    """From when on it holds, with a time zone."""
    purpose: Purpose | None = None
    """None: of a grant generation, of a withdrawal everything."""
    terms: Terms = ANYWHERE
    expires: datetime | None = None
    """When a grant ends; None = when it is withdrawn."""
    evidence: str | None = None
    """SHA-256 of the file that shows it."""
    note: str = ""
    entered: datetime | None = None
    """When it was written down; None of the oldest."""

    def concerns(self, purpose: Purpose) -> bool:
        """Say whether this entry speaks of a purpose."""
        if self.purpose is None:
            return self.kind == "withdrawn" or purpose is Purpose.GENERATION
        return self.purpose is purpose


@dataclass(frozen=True)
class Use:
    """What is to be done with somebody's likeness."""

    purpose: Purpose
    model: str | None = None
    version: str | None = None
    territory: str | None = None
    settled: bool = True
    """False before a version is pinned: then one of the permitted may still be."""


@dataclass(frozen=True)
class Answer:
    """Whether a use is permitted, and if not, for want of what."""

    consent: Consent
    unmet: tuple[str, ...] = ()
    """The terms that are not met, in words; empty where it is granted."""

    @property
    def granted(self) -> bool:
        """Whether the use is permitted."""
        return self.consent is Consent.GRANTED


def use_of(subject: Subject) -> Use:
    """Return what making or showing a sample means for the person whom it should show."""
    if subject.kind == "training":
        return Use(Purpose.TRAINING, subject.model, subject.model_version, subject.territory)
    settled = subject.model_version is not None  # what was asked for gets its version before it is made
    return Use(Purpose.GENERATION, subject.model, subject.model_version, subject.territory, settled)


def permits(entries: Sequence[Entry], use: Use, at: datetime) -> Answer:
    """Return whether somebody agrees to a use at a moment.

    Of the grants of a purpose the newest that has begun holds, and not the one that was entered last: an older form
    that is found later changes nothing. A withdrawal ends every grant that was entered before it or is dated before it.

    Args:
        entries: All of one person, in the order of the register.
        use: What is to be done.
        at: When, with a time zone.
    """
    answers = [_permitted(entries, purpose, use, at) for purpose in _PERMITTED_BY[use.purpose]]
    found = [answer for answer in answers if answer.consent is not Consent.MISSING]
    if found:
        # What was withdrawn by name is not permitted by what is wider.
        own = answers[0].consent is Consent.WITHDRAWN
        return found[0] if own else next((answer for answer in found if answer.granted), found[0])
    others = [one for one in Purpose if one not in _PERMITTED_BY[use.purpose] and holding(entries, one, at)[1]]
    if others:
        return Answer(Consent.NOT_COVERED, (f"consent is for {_list(others)}, and not for {use.purpose}",))
    return Answer(Consent.MISSING, ("consent is missing",))


def state(entries: Sequence[Entry], purpose: Purpose, at: datetime) -> Consent:
    """Return whether consent to a purpose stands at a moment, whatever its terms."""
    return holding(entries, purpose, at)[0]


def agrees(entries: Sequence[Entry], at: datetime) -> bool:
    """Say whether somebody agrees to anything at all at a moment."""
    return any(state(entries, purpose, at) is Consent.GRANTED for purpose in Purpose)


def _permitted(entries: Sequence[Entry], purpose: Purpose, use: Use, at: datetime) -> Answer:
    consent, grant = holding(entries, purpose, at)
    if grant is None:
        return Answer(consent, (f"consent is {consent}",))
    unmet = (*_unmet_model(grant.terms, use), *_unmet_territory(grant.terms, use))
    return Answer(Consent.NOT_COVERED, unmet) if unmet else Answer(Consent.GRANTED)


def holding(entries: Sequence[Entry], purpose: Purpose, at: datetime) -> tuple[Consent, Entry | None]:
    """Return how consent to one purpose stands at a moment, and the grant that holds."""
    grants: list[Entry] = []
    ended: datetime | None = None
    for entry in entries:
        if not entry.concerns(purpose):
            continue
        if entry.kind == "granted":
            grants.append(entry)
        else:
            ended = max(moment for moment in (ended, entry.at, *(one.at for one in grants)) if moment is not None)
    begun = [one for one in grants if one.at <= at and (ended is None or one.at > ended)]
    if not begun:
        return (Consent.MISSING if ended is None else Consent.WITHDRAWN), None
    newest = max(begun, key=lambda one: (one.at, one.number))
    if newest.expires is not None and newest.expires <= at:
        return Consent.EXPIRED, None
    return Consent.GRANTED, newest


def _unmet_model(terms: Terms, use: Use) -> Iterable[str]:
    if not terms.models or use.model in terms.models:
        return
    versions = [one for one in terms.models if use.model is not None and one.startswith(f"{use.model}@")]
    if not versions:
        yield f"consent does not cover model {use.model or 'that is not said'}, but {_list(terms.models)}"
    elif use.version is None and use.settled:
        yield f"consent is for {_list(versions)}; which version made it, is not said"
    elif use.version is not None and f"{use.model}@{use.version}" not in versions:
        yield f"consent does not cover model {use.model} version {use.version}, but {_list(versions)}"


def _unmet_territory(terms: Terms, use: Use) -> Iterable[str]:
    if not terms.territories:
        return
    if use.territory is None:
        yield f"consent is for {_list(terms.territories)}; the request does not say where"
    elif not {use.territory, use.territory.partition("-")[0]} & set(terms.territories):
        yield f"consent is for {_list(terms.territories)}; the request says {use.territory}"


def _list(names: Iterable[str]) -> str:
    return ", ".join(names)


def is_territory(text: str) -> bool:
    """Say whether a text is written as a country or a part of one, as ISO 3166-2 does.

    >>> is_territory("DE"), is_territory("US-TN"), is_territory("Germany")
    (True, True, False)
    """
    return re.fullmatch(TERRITORY, text) is not None
