"""From the body of an HTTP call to requests, or to what is wrong with it: by the same rules as on the topic."""

from collections.abc import Sequence
from dataclasses import dataclass

from pydantic_core import from_json, to_json

from streams import topics
from streams.core.parse import Refused, parse
from streams.core.receipts import REQUESTS_AT_ONCE
from streams.core.records import Message
from streams.events import DeadReason, GenerationRequested

LINES = ("application/x-ndjson", "application/jsonl")
#: What a body may be. Nothing else is read, so that no web page can post a form here.
CONTENT_TYPES = ("application/json", *LINES)

#: So many faults are told of one body.
_TOLD = 20


@dataclass(frozen=True)
class Asked:
    """What a body asks for."""

    requests: tuple[GenerationRequested, ...]
    alone: bool
    """Whether the body is one object, so that its answer is one too."""


@dataclass(frozen=True)
class Wrong:
    """Why a body asks for nothing: an HTTP status, and words."""

    status: int
    text: str


def read(body: bytes, content_type: str) -> Asked | Wrong:
    """Return the requests of a body: one JSON object, an array, or one a line. Where one is wrong, all are."""
    alone = False
    if content_type in LINES:
        values = [line for line in body.split(b"\n") if line.strip()]
    else:
        try:
            content = from_json(body, allow_inf_nan=False)
        except ValueError as error:
            return Wrong(400, f"expected JSON in UTF-8, got a body that is none: {error}")
        alone = not isinstance(content, list)
        values = [body] if alone else [to_json(one) for one in content]
    if not 1 <= len(values) <= REQUESTS_AT_ONCE:
        return Wrong(413 if values else 422, f"expected 1 to {REQUESTS_AT_ONCE} requests at once, got {len(values)}")
    return _whole([parse(_message(value), GenerationRequested) for value in values], alone)


def _message(value: bytes) -> Message:
    return Message(topics.GENERATION_REQUESTS.name, 0, 0, None, value, ())


def _whole(found: Sequence[GenerationRequested | Refused], alone: bool) -> Asked | Wrong:
    refused = [(place, one) for place, one in enumerate(found, start=1) if isinstance(one, Refused)]
    if not refused:
        return Asked(tuple(one for one in found if isinstance(one, GenerationRequested)), alone)
    told = [one.detail if alone else f"request {place}: {one.detail}" for place, one in refused[:_TOLD]]
    if len(refused) > _TOLD:
        told.append(f"and {len(refused) - _TOLD} more")
    status = 400 if any(one.reason is DeadReason.NOT_JSON for _, one in refused) else 422
    return Wrong(status, f"{'; '.join(told)}: nothing was registered; `likeness schema` prints the schema")
