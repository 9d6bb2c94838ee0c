"""The dead letters as a person looks at them: read whole, held against what was sent back, and chosen from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from streams import topics
from streams.core.deadletter import PREFIX, explanation
from streams.core.redrive import Redrive, counted
from streams.errors import BadInput
from streams.events import Headers
from streams.ports import Redrives
from streams.tools.audit.records import Raw
from streams.tools.audit.topics import Topics

#: Ids that are asked of the ledger at one time: a statement takes some ten thousand at most.
_IDS_AT_A_TIME = 1000


@dataclass(frozen=True)
class DeadLetter:
    """One dead letter, and what was done about it."""

    id: str
    reason: str
    detail: str
    stage: str
    topic: str
    """Where the message came in, with ``partition`` and ``offset``."""
    partition: str
    offset: str
    attempts: str
    time: datetime
    key: bytes | None
    value: bytes | None
    headers: Headers
    redriven: int = 0
    """How often its id, or the message itself, was sent back until now."""
    sent_back: bool = False
    """Whether this letter was: it ends nothing any more."""

    def as_dict(self) -> dict[str, Any]:
        """Return what says why and whence, as JSON can hold it."""
        names = ("id", "reason", "detail", "stage", "topic", "partition", "offset", "attempts", "redriven", "sent_back")
        return {name: getattr(self, name) for name in names} | {"time": self.time.isoformat()}

    def whole(self) -> dict[str, Any]:
        """Return the message itself beside that, as text."""
        said = {name: None if held is None else _text(held) for name, held in self.headers if not _ours(name)}
        content = {"key": _text(self.key or b""), "value": _text(self.value or b""), "headers": said}
        return self.as_dict() | content


@dataclass(frozen=True)
class Wanted:
    """Which dead letters; a field that is left out excludes none."""

    ids: Sequence[str] = ()
    """Whole ids or their beginnings."""
    reason: str | None = None
    topic: str | None = None
    since: datetime | None = None

    def includes(self, letter: DeadLetter) -> bool:
        """Say whether this letter is wanted."""
        return (
            (not self.ids or any(letter.id.startswith(one) for one in self.ids))
            and self.reason in (None, letter.reason)
            and self.topic in (None, letter.topic)
            and (self.since is None or letter.time >= self.since)
        )


async def read(kafka: str, redrives: Redrives, *, timeout_seconds: float = 30.0) -> list[DeadLetter]:
    """Return every dead letter that its topic keeps, the oldest first, each once.

    Raises:
        DependencyUnavailable: If Kafka or the ledger does not answer.
    """
    async with Topics(kafka, timeout_seconds=timeout_seconds) as reader:
        until = await reader.ends([topics.DEAD_LETTERS.name])
        found = [letter async for raw in reader.records(until) if (letter := letter_of(raw)) is not None]
    ids = sorted({letter.id for letter in found})
    history: list[Redrive] = []
    for start in range(0, len(ids), _IDS_AT_A_TIME):
        history += await redrives.history(ids[start : start + _IDS_AT_A_TIME])
    return told_apart(found, history)


def letter_of(raw: Raw) -> DeadLetter | None:
    """Return the record as a dead letter; None where somebody else wrote it, without an id."""
    why = explanation(tuple(raw.headers))
    if "id" not in why:
        return None
    return DeadLetter(
        id=why["id"],
        reason=why.get("reason", ""),
        detail=why.get("detail", ""),
        stage=why.get("stage", ""),
        topic=why.get("topic", ""),
        partition=why.get("partition", ""),
        offset=why.get("offset", ""),
        attempts=why.get("attempts", ""),
        time=datetime.fromtimestamp(raw.time_ms / 1000, tz=UTC),
        key=raw.key,
        value=raw.value,
        headers=tuple(raw.headers),
    )


def told_apart(letters: Iterable[DeadLetter], history: Iterable[Redrive]) -> list[DeadLetter]:
    """Return each letter once, the oldest first, with what the ledger knows of its redrives."""
    by_id: dict[str, list[Redrive]] = {}
    for redrive in history:
        by_id.setdefault(redrive.sample_id, []).append(redrive)
    once = {(letter.id, letter.time, letter.headers, letter.value): letter for letter in letters}
    return [
        _with_history(letter, by_id.get(letter.id, ()))
        for letter in sorted(once.values(), key=lambda letter: (letter.time, letter.id))
    ]


def _with_history(letter: DeadLetter, redrives: Sequence[Redrive]) -> DeadLetter:
    times = max(len(redrives), counted(letter.headers))
    sent_back = any(_is_of(redrive, letter) for redrive in redrives)
    return replace(letter, redriven=times, sent_back=sent_back)


def _is_of(redrive: Redrive, letter: DeadLetter) -> bool:
    held = redrive.letter
    close = abs((held.time - letter.time).total_seconds()) <= 0.001  # Kafka keeps milliseconds
    return close and (held.key, held.value, held.headers) == (letter.key, letter.value, letter.headers)


def one(letters: Sequence[DeadLetter], beginning: str) -> DeadLetter:
    """Return the newest letter of the one id that begins so.

    Raises:
        BadInput: If there is none, or ids of several begin so.
    """
    found = [letter for letter in letters if letter.id.startswith(beginning)]
    ids = sorted({letter.id for letter in found})
    if not found:
        raise BadInput(f"no dead letter has an id that begins with {beginning!r}; `likeness dlq list` shows those kept")
    if len(ids) > 1:
        raise BadInput(f"{len(ids)} ids begin with {beginning!r}: give more of it, such as {ids[0]}")
    return found[-1]


def _text(held: bytes) -> str:
    return held.decode(errors="replace")


def _ours(name: str) -> bool:
    return name.startswith(PREFIX)
