"""What one record says of how a sample ended, read from the documented contract and nothing else."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from streams import topics
from streams.tools.audit.records import DEAD_ID, DEAD_REASON, Raw, derived, digest, envelope

_DECISION_ON = {
    topics.SAMPLES_ACCEPTED.name: "accepted",
    topics.SAMPLES_FLAGGED.name: "flagged",
    topics.DEAD_LETTERS.name: "dead",
}

#: Headers of a dead letter that say where its message was.
_TOPIC, _PARTITION, _OFFSET = "likeness.dlq.topic", "likeness.dlq.partition", "likeness.dlq.offset"


@dataclass(frozen=True, slots=True)
class Picture:
    """An image that a verdict points at."""

    sha256: str
    size: int


@dataclass(frozen=True, slots=True)
class End:
    """One record on which a sample ends."""

    sample_id: str
    topic: str
    place: str
    """``topic[partition]@offset``."""
    decision: str
    """``accepted``, ``flagged`` or ``dead``, as the topic says."""
    reasons: tuple[str, ...] = ()
    """All reasons; the primary one first."""
    policy: str | None = None
    value: bytes = b""
    """Digest."""
    envelope: bytes = b""
    """Digest of key and headers."""
    time_ms: int = 0
    picture: Picture | None = None
    space: str | None = None
    """Fingerprint of the embedding space; None where no embedding was compared."""
    source: tuple[str, int, int] | None = None
    """Of a dead letter: topic, partition and offset of the message that it was."""
    fault: str | None = None
    """What the record says against its own key or topic."""

    @property
    def verdict(self) -> tuple[str, tuple[str, ...], str | None]:
        """What two ends of one sample must have in common."""
        return (self.decision, self.reasons, self.policy)


def end(raw: Raw) -> End:
    """Read a record of one of the three topics on which samples end. One that names no sample has the id ``""``."""
    if raw.topic == topics.DEAD_LETTERS.name:
        return _dead(raw)
    sample_id = (raw.key or b"").decode(errors="replace")
    told = (raw.topic, raw.place, _DECISION_ON[raw.topic])
    whole = {
        "value": digest(raw.value),
        "envelope": envelope(raw.key, raw.headers),
        "time_ms": raw.time_ms,
    }
    try:
        return _verdict(sample_id, told, whole, json.loads(raw.value or b""))
    except (ValueError, TypeError, KeyError) as error:
        return End(sample_id, *told, **whole, fault=f"the value is no verdict: {error!r}")


def _verdict(sample_id: str, told: tuple[str, str, str], whole: Mapping[str, Any], body: Mapping[str, Any]) -> End:
    topic, _, decision = told
    fault = None
    if body["sample_id"] != sample_id:
        fault = f"the verdict is on {body['sample_id']!r}, its key says {sample_id!r}"
    elif body["decision"] != decision:
        fault = f"the verdict says {body['decision']!r} on {topic}"
    compared = body.get("similarity") is not None
    return End(
        sample_id,
        *told,
        **whole,
        reasons=tuple(str(reason["code"]) for reason in body["reasons"]),
        policy=body["policy_version"],
        picture=_picture(body.get("image")),
        space=body["embedding_space"] if compared else None,
        fault=fault,
    )


def place_id(topic: str, partition: int, offset: int, value_sha256: str) -> str:
    """Return the id under which a message ends that names no sample."""
    return derived("message", topic, partition, offset, value_sha256)


def _dead(raw: Raw) -> End:
    headers = {name: (value or b"").decode(errors="replace") for name, value in raw.headers}
    return End(
        headers.get(DEAD_ID, ""),
        raw.topic,
        raw.place,
        "dead",
        (headers.get(DEAD_REASON, "unnamed"),),
        None,
        digest(raw.value),
        envelope(raw.key, raw.headers),
        raw.time_ms,
        source=_source(headers),
    )


def _source(headers: Mapping[str, str]) -> tuple[str, int, int] | None:
    try:
        return headers[_TOPIC], int(headers[_PARTITION]), int(headers[_OFFSET])
    except (KeyError, ValueError):
        return None


def _picture(image: Any) -> Picture | None:
    return Picture(image["sha256"], image["size"]) if image else None
