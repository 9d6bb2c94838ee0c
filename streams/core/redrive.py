"""Sending dead letters back: what is published again, and when it is refused."""

from dataclasses import dataclass

from streams import topics
from streams.core.deadletter import PREFIX, Kept, explanation
from streams.core.records import Record
from streams.events import Headers

#: Header of a message that was sent back: how often by now. It outlives the message's id, which its place is part of.
REDRIVEN = "likeness.redriven"

#: What dies after so many redrives is mended by none: it is refused from then on, unless somebody insists.
MOST_REDRIVES = 3

#: Where messages come in, so where one may be sent back to.
WAYS_IN = frozenset(
    topic.name for topic in (topics.GENERATION_REQUESTS, topics.GENERATION_SAMPLES, topics.TRAINING_SAMPLES)
)

#: What cannot be sent back, because no dead letter was large enough for it.
_NOT_HERE: dict[str, str] = {
    Kept.POINTER: "its value was too large to keep, and only a pointer is here",
    Kept.BARE: "its key and headers were too large to keep, and are not here",
}


@dataclass(frozen=True)
class Redrive:
    """One dead letter that was taken back, and the message that follows from it."""

    sample_id: str
    n: int
    """Counts the redrives of this id, from 1."""
    letter: Record
    """The dead letter, to the byte: whoever finds it on its topic can know that it is superseded."""
    sent: bool
    """Whether the message is known to be delivered."""


@dataclass(frozen=True)
class SentAgain:
    """A message as it goes back to where it came from."""

    topic: str
    key: bytes | None
    value: bytes | None
    headers: Headers


def message_of(redrive: Redrive) -> SentAgain:
    """Return what is published: the original message, and how often it was sent back."""
    letter = redrive.letter
    times = max(redrive.n, counted(letter.headers) + 1)
    kept = tuple((name, held) for name, held in letter.headers if not name.startswith(PREFIX) and name != REDRIVEN)
    headers = (*kept, (REDRIVEN, str(times).encode()))
    return SentAgain(explanation(letter.headers)["topic"], letter.key, letter.value, headers)


def counted(headers: Headers) -> int:
    """Return how often a message says that it was sent back; what is no number counts as never."""
    said = (dict(headers).get(REDRIVEN) or b"").decode(errors="replace")
    return int(said) if said.isascii() and said.isdigit() and len(said) < 10 else 0


def refusal(letter: Record, earlier: int, *, force: bool = False) -> str | None:
    """Return why this dead letter is not sent back, None where it is.

    Args:
        letter: The dead letter.
        earlier: Redrives of its id so far.
        force: Send back even what was sent back often.
    """
    topic = explanation(letter.headers).get("topic")
    if topic not in WAYS_IN:
        return f"it says that it came from {topic or 'nowhere'}; nothing comes in there"
    kept = explanation(letter.headers).get("kept", Kept.WHOLE)
    if kept != Kept.WHOLE:
        return f"{_NOT_HERE.get(kept, f'it says that {kept!r} of it was kept')}: have its sender send it again"
    times = max(earlier, counted(letter.headers))
    if times >= MOST_REDRIVES and not force:
        return f"it was sent back {times} times and died each time: mend its cause, then use --force"
    return None
