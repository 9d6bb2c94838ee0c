"""What the demonstration asks for: a drift with known truth, people who may not be shown, and broken messages."""

from collections.abc import Sequence
from itertools import cycle

from streams.events import GenerationRequested

#: How far samples wander from their identity; mean similarity falls from 1 to about 0.33 along them.
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
#: Of every hundred requests, so many ask for somebody whom nobody enrolled, and so many for withdrawn consent.
STRANGERS_PERCENT, WITHDRAWN_PERCENT = 3, 3
STRANGER = "nobody-enrolled"

#: One of each kind of message that cannot be processed.
MALFORMED = (
    b"this is not JSON",
    b'{"request_id": "\xff\xfe"}',
    b"",
    b'{"version": 1, "identity": "synthetic-01"}',
    b'{"version": 99, "source": "demo", "request_id": "from-the-future", "identity": "synthetic-01"}',
)


def plan(count: int, identities: Sequence[str], withdrawn: str, *, source: str) -> list[GenerationRequested]:
    """Return ``count`` requests of one sample each, the strengths taking turns from the first request on.

    Args:
        count: Requests in all, at least 20.
        identities: Whom to ask for.
        withdrawn: Somebody enrolled whose consent was withdrawn.
        source: Names this demonstration, so that another one's requests are others.
    """
    strangers = max(1, count * STRANGERS_PERCENT // 100)
    forbidden = max(1, count * WITHDRAWN_PERCENT // 100)
    known = count - strangers - forbidden
    people, strengths = cycle(identities), cycle(STRENGTHS)
    asked = [(next(people), strength) for strength, _ in zip(strengths, range(known), strict=False)]
    asked += [(STRANGER, 0.0)] * strangers + [(withdrawn, 0.0)] * forbidden
    return [
        GenerationRequested(
            source=source, request_id=f"demo-{number:04d}", identity=identity, seed=1000 + number, strength=strength
        )
        for number, (identity, strength) in enumerate(asked)
    ]
