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
    """The latest entry of the register for one identity."""

    granted_at: datetime | None
    withdrawn_at: datetime | None = None
    expires: datetime | None = None


def state(record: ConsentRecord | None, now: datetime) -> Consent:
    """Return whether the person may be generated at ``now`` (with a time zone)."""
    if record is None or record.granted_at is None:
        return Consent.MISSING
    if record.withdrawn_at is not None and record.withdrawn_at >= record.granted_at:
        return Consent.WITHDRAWN
    if record.expires is not None and record.expires <= now:
        return Consent.EXPIRED
    return Consent.GRANTED
