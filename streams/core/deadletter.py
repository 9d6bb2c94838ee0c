"""Dead letters: what cannot be processed, whole, with headers that say why and where it came from."""

import json
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from streams import topics
from streams.core.ledger import Outcome, State
from streams.core.records import Message, Record
from streams.events import DeadReason, Headers

#: What the names of our own headers begin with.
PREFIX = "likeness.dlq."

#: So many processes must have died of one sample alone before it is a dead letter.
CRASH_LOOP_DEATHS = 3

#: The longest explanation that a header carries, in characters.
DETAIL_CHARACTERS = 1000

#: What a header takes beside its name and value: the lengths of both.
_HEADER_BYTES = 10


class Kept(StrEnum):
    """How much of a message its dead letter holds; the store of images has the rest."""

    WHOLE = "whole"
    """Key, value and headers. In the value an inline image may have become its pointer, which can be judged as well."""
    POINTER = "pointer"
    """Key and headers, and a pointer in the value's place."""
    BARE = "bare"
    """Neither key nor headers, and a pointer in the place of a value."""


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
    extent: Kept = Kept.WHOLE
    """How much of the message is here."""

    @property
    def kept(self) -> bytes | None:
        """The value that may be kept."""
        return self.message.value if self.value is None else self.value

    @property
    def weight(self) -> int:
        """Bytes of key, value and headers, as Kafka holds them at most."""
        message = self.message
        headers = sum(len(name.encode()) + len(value or b"") + _HEADER_BYTES for name, value in message.headers)
        return len(message.key or b"") + len(self.kept or b"") + headers


def outcome(burial: Burial, *, stage: str, version: str, policy_version: str, now: datetime) -> Outcome:
    """Return the end of a burial: original key, value and headers, and ``likeness.dlq.*`` headers behind them.

    Args:
        burial: What is buried, and why.
        stage: The step that gave up.
        version: Of the software that gave up.
        policy_version: Of the policy that was in force.
        now: When.
    """
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
        "exception": burial.exception,
        "kept": burial.extent.value,
        "version": version,
        "policy-version": policy_version,
    }
    headers = (*message.headers, *((f"{PREFIX}{name}", text.encode()) for name, text in why.items()))
    # aiokafka sends no record with neither: an empty value stands for none where there is no key.
    value = b"" if message.key is None and burial.kept is None else burial.kept
    record = Record(topics.DEAD_LETTERS.name, message.key, value, headers, now)
    return Outcome(burial.sample_id, State.DEAD, record)


def envelope(message: Message) -> bytes:
    """Return key and headers as JSON, their bytes in hexadecimal, for a place where nothing is too large."""
    held = [[name, None if value is None else value.hex()] for name, value in message.headers]
    return json.dumps({"key": None if message.key is None else message.key.hex(), "headers": held}).encode()


def explanation(headers: Headers) -> dict[str, str]:
    """Return what a dead letter's own headers say, by name without the prefix, such as ``reason``."""
    ours = ((name, value) for name, value in headers if name.startswith(PREFIX))
    return {name.removeprefix(PREFIX): (value or b"").decode(errors="replace") for name, value in ours}
