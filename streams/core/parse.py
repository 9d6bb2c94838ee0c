"""From the bytes of a message to a body, or to the reason why it is none."""

from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from streams.core.records import Message
from streams.events import TYPES, Body, DeadReason

B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class Refused:
    """A message that is not what its topic carries."""

    reason: DeadReason
    detail: str


def parse(message: Message, body: type[B]) -> B | Refused:
    """Return the message's body. What it says wrongly is told without repeating the values themselves."""
    if not message.value:
        return Refused(DeadReason.NOT_JSON, "the value is empty; expected a JSON object")
    try:
        content = from_json(message.value, allow_inf_nan=False)
    except ValueError as error:
        return Refused(DeadReason.NOT_JSON, f"the value is not JSON: {error}")
    if not isinstance(content, dict):
        return Refused(DeadReason.SCHEMA_INVALID, f"expected a JSON object, got {type(content).__name__}")
    if content.get("version", 1) != 1:
        return Refused(DeadReason.VERSION_UNKNOWN, "expected version 1; this release knows no other")
    type_header = dict(message.headers).get("ce_type")
    if type_header is not None and type_header != TYPES[body].encode():
        return Refused(DeadReason.SCHEMA_INVALID, f"the header ce_type must be {TYPES[body]} on {message.topic}")
    try:
        return body.model_validate(content)
    except ValidationError as error:
        faults = (f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors())
        return Refused(DeadReason.SCHEMA_INVALID, "; ".join(faults))
