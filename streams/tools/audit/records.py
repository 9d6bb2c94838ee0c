"""What the auditor reads off one record: whether it asks for samples or ends one, without keeping its bytes.

Ids, contents and fields are read here a second time, from the documented contract alone, so that one wrong line cannot
hide itself from its own check. All that the auditor shares with the worker is how record batches are read and clients
closed (``streams.kafka``), and the names of the topics.
"""

import base64
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from streams import topics

#: A request for more samples than this is refused by contract, so it asks for none.
MOST_SAMPLES = 64

#: Header of a dead letter that says whose end it is, and the one that says why.
DEAD_ID, DEAD_REASON = "likeness.dlq.id", "likeness.dlq.reason"

_DECISIONS = {topics.SAMPLES_ACCEPTED.name: "accepted", topics.SAMPLES_FLAGGED.name: "flagged"}
_HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Raw:
    """One record as Kafka holds it."""

    topic: str
    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Sequence[tuple[str, bytes | None]]
    time_ms: int

    @property
    def place(self) -> str:
        """``topic[partition]@offset``."""
        return f"{self.topic}[{self.partition}]@{self.offset}"


@dataclass(frozen=True, slots=True)
class Ask:
    """What one message on its way in asks for."""

    own_id: str
    """Under this id the message itself ends, where it cannot be processed as what it should be."""
    sample_ids: tuple[str, ...]
    """Empty where the auditor cannot read the message."""
    content: bytes | None = None
    """Of a request: digest of what it asks for, to be compared with what the row was registered for."""
    brings: tuple[str, str, str] | None = None
    """Of a sample: identity, model and the image's SHA-256."""


@dataclass(frozen=True, slots=True)
class End:
    """How one record says that a sample ended."""

    sample_id: str | None
    """None where the record names no sample."""
    value: bytes
    """Digest of the value."""
    envelope: bytes
    """Digest of key and headers."""
    reason: str | None
    """The primary reason; None of an accepted sample."""
    fault: str | None
    """What the record says against its own key or topic."""


def ask(raw: Raw, called: Callable[[str], str] = lambda name: name) -> Ask:
    """Read a message of one of the three topics on which samples come in; ``called`` says how a person is called."""
    content = hashlib.sha256(raw.value or b"").hexdigest()
    own_id = derived("message", raw.topic, raw.partition, raw.offset, content)
    body = _object(raw.value)
    try:
        if raw.topic == topics.GENERATION_REQUESTS.name:
            source, request_id = body["source"], body["request_id"]
            count = _whole(body.get("count", 1))
            ids = [derived("generation", source, request_id, i) for i in range(count if count <= MOST_SAMPLES else 0)]
            return Ask(own_id, tuple(ids), content=asked_content(raw.value, called))
        if raw.topic == topics.GENERATION_SAMPLES.name:
            sample_id = derived("generation", body["source"], body["request_id"], _whole(body["index"]))
            if sample_id != body["sample_id"]:
                return Ask(own_id, ())
        else:
            sample_id = derived("training", body["run_id"], _whole(body["step"]), _whole(body["index"]))
        return Ask(own_id, (sample_id,), brings=(called(body["identity"]), body["model"], _image(body)))
    except (KeyError, TypeError, ValueError):
        return Ask(own_id, ())


def end(raw: Raw) -> End:
    """Read a record of one of the three topics on which samples end."""
    if raw.topic == topics.DEAD_LETTERS.name:
        headers = {name: (value or b"").decode(errors="replace") for name, value in raw.headers}
        sample_id, fault = headers.get(DEAD_ID), None
        reason = headers.get(DEAD_REASON)
        if sample_id is None:
            fault = f"a dead letter without the header {DEAD_ID}"
    else:
        body = _object(raw.value)
        sample_id = _key(raw.key) or _text(body.get("sample_id"))
        reason, fault = _primary(body), _fault(raw, body)
    return End(sample_id, digest(raw.value), envelope(raw.key, raw.headers), reason, fault)


def derived(*parts: str | int) -> str:
    """Return the id that the documented formula gives for these parts.

    >>> derived("generation", "shop", "r-1", 0)
    '04dd23b83e0103b8dee243ab638a687b'
    """
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def digest(value: bytes | None) -> bytes:
    """Return sixteen bytes that stand for the value; no value and an empty one differ."""
    return b"" if value is None else hashlib.sha256(value).digest()[:16]


def envelope(key: bytes | None, headers: Sequence[tuple[str, bytes | None]]) -> bytes:
    """Return sixteen bytes that stand for key and headers, order included."""
    parts = [_hex(key), [[name, _hex(value)] for name, value in headers]]
    return digest(json.dumps(parts).encode())


def asked_content(value: bytes | None, called: Callable[[str], str] = lambda name: name) -> bytes | None:
    """Return a digest of what a request asks for, whichever way it is written; None where it is no request."""
    body = _object(value)
    if "source" not in body or "request_id" not in body or "sample_id" in body:
        return None
    try:
        numbers = [_whole(body.get("seed", 0)), float(body.get("strength", 0)), _whole(body.get("count", 1))]
        places = [body.get("frame_index"), body.get("frames")]
        clip = [body.get("clip_id"), *(None if each is None else _whole(each) for each in places)]
    except (TypeError, ValueError, OverflowError):
        return None
    identity = body.get("identity")
    who = called(identity) if isinstance(identity, str) else identity
    names = [body["source"], body["request_id"], who, body.get("model", "face_gan"), body.get("territory")]
    return digest(json.dumps([*names, *numbers, *clip]).encode())


def _object(value: bytes | None) -> Mapping[str, Any]:
    """Return the JSON object that the value holds, an empty one where it holds none."""
    try:
        content = json.loads(value or b"")
    except (ValueError, RecursionError):
        return {}
    return content if isinstance(content, dict) else {}


def _whole(number: Any) -> int:
    """Return a whole number that may be written as 3, 3.0 or "3": no stricter than anybody who reads it in earnest."""
    if isinstance(number, float) and not number.is_integer():
        raise ValueError(f"{number} is not whole")
    return int(number)


def _image(body: Mapping[str, Any]) -> str:
    inline = body.get("inline_image")
    if inline is not None:
        return hashlib.sha256(base64.b64decode(inline, validate=True)).hexdigest()
    return str(body["image"]["sha256"])


def _primary(body: Mapping[str, Any]) -> str | None:
    reasons = body.get("reasons")
    first = reasons[0] if isinstance(reasons, list) and reasons else None
    return _text(first.get("code")) if isinstance(first, dict) else None


def _fault(raw: Raw, body: Mapping[str, Any]) -> str | None:
    if not body:
        return "a verdict whose value is not a JSON object"
    key = _key(raw.key)
    if key is None or body.get("sample_id") != key:
        return f"the verdict is on {body.get('sample_id')!r}, its key says {key!r}"
    if body.get("decision") != _DECISIONS[raw.topic]:
        return f"the verdict says {body.get('decision')!r} on {raw.topic}"
    return None


def _key(key: bytes | None) -> str | None:
    text = (key or b"").decode(errors="replace")
    return text if len(text) == 32 and _HEX.issuperset(text) else None


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _hex(value: bytes | None) -> str | None:
    return None if value is None else value.hex()
