"""From the bytes of a message to a body, or to the reason why it is none."""

import base64
import binascii
import json
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import from_json

from streams.core.records import Message
from streams.events import TYPES, Body, DeadReason, ImageRef
from streams.topics import UNREADABLE

B = TypeVar("B", bound=Body)


@dataclass(frozen=True)
class Refused:
    """A message that is not what its topic carries."""

    reason: DeadReason
    detail: str
    exception: str = ""
    """Class of the exception that says so; empty where none was raised."""


def parse(message: Message, body: type[B]) -> B | Refused:
    """Return the message's body. What it says wrongly is told without repeating the values themselves."""
    if (unreadable := dict(message.headers).get(UNREADABLE)) is not None:
        return Refused(DeadReason.BATCH_UNREADABLE, unreadable.decode(errors="replace"))
    if not message.value:
        return Refused(DeadReason.NOT_JSON, "the value is empty; expected a JSON object")
    try:
        content = from_json(message.value, allow_inf_nan=False)
    except ValueError as error:
        return Refused(DeadReason.NOT_JSON, f"the value is not JSON: {error}", type(error).__name__)
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
        return Refused(DeadReason.SCHEMA_INVALID, "; ".join(faults), type(error).__name__)


@dataclass(frozen=True)
class CarriedImage:
    """An image inside a JSON object that is not a body."""

    content: dict[str, Any]
    encoded: bytes

    def pointing_at(self, image: ImageRef) -> bytes:
        """Return the object with a pointer in the image's place."""
        rest = {name: value for name, value in self.content.items() if name != "inline_image"}
        return json.dumps({**rest, "image": image.model_dump()}).encode()


def carried_image(value: bytes | None) -> CarriedImage | None:
    """Return the inline image of a value that may be anything; text that is not base64 counts as the bytes it has."""
    try:
        content = from_json(value or b"")
    except ValueError:
        return None
    inline = content.get("inline_image") if isinstance(content, dict) else None
    if not isinstance(inline, str) or not inline:
        return None
    try:
        encoded = base64.b64decode(inline)
    except (binascii.Error, ValueError):
        encoded = b""
    return CarriedImage(content, encoded or inline.encode())
