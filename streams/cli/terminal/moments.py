"""Moments as people say them on the command line."""

import re
from datetime import UTC, datetime, timedelta

from streams.errors import BadInput

_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def moment(text: str, now: datetime, option: str = "--since") -> datetime:
    """Return the moment that a person means: so long ago, or a date and time, in UTC where no zone is said.

    Raises:
        BadInput: If it is neither.
    """
    if ago := re.fullmatch(r"(\d{1,5})([smhd])", text):
        return now - timedelta(**{_UNITS[ago[2]]: int(ago[1])})
    return date(text, option, "90m, 2h, 3d or 2026-01-31T12:00")


def date(text: str, option: str, such_as: str = "2026-01-31 or 2026-01-31T12:00") -> datetime:
    """Return a date, or a date and time, as ISO 8601 writes it; in UTC where no zone is said.

    Raises:
        BadInput: If it is none; its message gives what is expected as ``such_as``.
    """
    try:
        said = datetime.fromisoformat(text)
    except ValueError as error:
        raise BadInput(f"{option} {text!r} is no moment: expected such as {such_as}") from error
    return said if said.tzinfo else said.replace(tzinfo=UTC)
