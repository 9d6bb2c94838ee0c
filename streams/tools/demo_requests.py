"""What the demonstration asks for: a drift with known truth, people who may not be shown, and broken messages."""

from collections.abc import Sequence
from itertools import cycle

from streams.events import GenerationRequested, ImageRef

#: How far samples wander from their identity; mean similarity falls from 1 to about 0.33 along them.
STRENGTHS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.5, 0.7, 0.9)
#: Of every hundred requests, so many ask for somebody whom nobody enrolled, and so many for withdrawn consent.
STRANGERS_PERCENT, WITHDRAWN_PERCENT = 3, 3
STRANGER = "nobody-enrolled"

#: The models that were trained to show whoever is enrolled; the first takes a source frame.
FAMILIES = ("face_encoder_decoder", "face_identity_gan", "face_diffusion")
#: Of each is asked for so many people, and for so many samples of each: a few, for the diffusion is slow.
PEOPLE, EACH = 4, 3

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


def of_families(identities: Sequence[str], frames: Sequence[ImageRef], *, source: str) -> list[GenerationRequested]:
    """Return the requests to every trained family, for a few samples of each of a few people, as like as it makes them.

    Args:
        identities: Whom to ask for; the first few are.
        frames: An image of each, in the same order: the encoder-decoder puts everybody into those of the next ones.
        source: As ``plan`` says.
    """
    framed, *others = FAMILIES
    requests = []
    for place, identity in enumerate(identities[:PEOPLE]):
        one = GenerationRequested(source=source, request_id="one", identity=identity, seed=5000 + place * EACH)
        # Where a frame says pose and light, a seed changes nothing: each sample has a frame of its own.
        changes = [
            {
                "request_id": f"{framed}-{identity}-{number}",
                "model": framed,
                "frame": frames[(place + number) % len(frames)],
            }
            for number in range(1, EACH + 1)
        ]
        changes += [{"request_id": f"{model}-{identity}", "model": model, "count": EACH} for model in others]
        requests += [one.model_copy(update=change) for change in changes]
    return requests
