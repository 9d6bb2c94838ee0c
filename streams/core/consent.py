"""Consent: no generation without it, no acceptance without it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum


class Consent(StrEnum):
    """Whether a person may be generated now."""

    GRANTED = "granted"
    WITHDRAWN = "withdrawn"
    EXPIRED = "expired"
    MISSING = "missing"


@dataclass(frozen=True)
class ConsentRecord:
    """What the register's entries for one identity add up to."""

    granted_at: datetime | None
    withdrawn_at: datetime | None = None
    expires: datetime | None = None


def state(record: ConsentRecord | None, now: datetime) -> Consent:
    """Return whether the person may be generated at ``now`` (with a time zone)."""
    if record is None or (record.granted_at is None and record.withdrawn_at is None):
        return Consent.MISSING
    if record.withdrawn_at is not None and (record.granted_at is None or record.withdrawn_at >= record.granted_at):
        return Consent.WITHDRAWN
    if record.granted_at is None or record.granted_at > now:
        return Consent.MISSING
    if record.expires is not None and record.expires <= now:
        return Consent.EXPIRED
    return Consent.GRANTED


def granted(record: ConsentRecord | None, at: datetime, expires: datetime | None) -> ConsentRecord:
    """Return the record after a grant. One that is dated before a withdrawal does not undo it."""
    return ConsentRecord(at, withdrawn_at=record.withdrawn_at if record else None, expires=expires)


def withdrawn(record: ConsentRecord | None, at: datetime) -> ConsentRecord:
    """Return the record after a withdrawal: it ends every grant that was entered before it, however that is dated."""
    before = record or ConsentRecord(None)
    moments = [moment for moment in (at, before.granted_at, before.withdrawn_at) if moment is not None]
    return ConsentRecord(before.granted_at, withdrawn_at=max(moments), expires=before.expires)
