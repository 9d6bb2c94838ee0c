"""What comes from Kafka and what goes to it, as plain values."""

from dataclasses import dataclass
from datetime import datetime

from streams.events import Headers


@dataclass(frozen=True)
class Message:
    """One record as it was read."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


@dataclass(frozen=True)
class Record:
    """One record to publish. Published twice, it is the same to the byte, its time included."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers
    time: datetime
