"""Dead letters: what cannot be processed, whole, with headers that say why and where it came from."""

from dataclasses import dataclass
from datetime import datetime

from streams import topics
from streams.core.ledger import Outcome, State
from streams.core.records import Message, Record
from streams.events import DeadReason, Headers

#: What the names of our own headers begin with.
PREFIX = "likeness.dlq."

#: The longest explanation that a header carries, in characters.
DETAIL_CHARACTERS = 1000


@dataclass(frozen=True)
class Burial:
    """One thing that goes to the dead letters: a whole message, or one sample that a message asked for."""

    sample_id: str
    message: Message
    reason: DeadReason
    detail: str
    attempts: int = 0
    exception: str = ""
    """Class of the exception that says so; empty where none was raised."""
    value: bytes | None = None
    """Stands for the message's value where that must not be kept: an inline image is replaced by its pointer."""

    @property
    def kept(self) -> bytes | None:
        """The value that may be kept."""
        return self.message.value if self.value is None else self.value


def outcome(burial: Burial, *, stage: str, version: str, now: datetime) -> Outcome:
    """Return the end of a burial: original key, value and headers, and ``likeness.dlq.*`` headers behind them."""
    message = burial.message
    why = {
        "id": burial.sample_id,
        "reason": burial.reason.value,
        "detail": burial.detail[:DETAIL_CHARACTERS],
        "stage": stage,
        "topic": message.topic,
        "partition": str(message.partition),
        "offset": str(message.offset),
        "attempts": str(burial.attempts),
        "version": version,
    }
    if burial.exception:
        why["exception"] = burial.exception
    headers = (*message.headers, *((f"{PREFIX}{name}", text.encode()) for name, text in why.items()))
    record = Record(topics.DEAD_LETTERS.name, message.key, burial.kept, headers, now)
    return Outcome(burial.sample_id, State.DEAD, record)


def explanation(headers: Headers) -> dict[str, str]:
    """Return what a dead letter's own headers say, by name without the prefix, such as ``reason``."""
    ours = ((name, value) for name, value in headers if name.startswith(PREFIX))
    return {name.removeprefix(PREFIX): (value or b"").decode(errors="replace") for name, value in ours}
