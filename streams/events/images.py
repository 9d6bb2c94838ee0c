"""How images travel: by a pointer into the image store, or inline where they are small."""

import base64
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.events.body import Body, Sha256

#: The most bytes that an image may have to travel inside a message; larger ones go to the image store first.
INLINE_IMAGE_BYTES = 512 * 1024

#: The most bytes of an image in the image store.
IMAGE_BYTES = 10 * 1000 * 1000


class ImageRef(BaseModel):
    """Points at an image in the image store by its content."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    sha256: Sha256
    size: Annotated[int, Field(gt=0, le=2**62)]
    """Bytes."""


class Pictured(Body):
    """A body with an image: in the store, or inline."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["image"]}, {"required": ["inline_image"]}]},
    )

    image: ImageRef | None = None
    inline_image: str | None = None
    """A small image itself, base64; at most 512 KiB decoded."""

    @model_validator(mode="after")
    def _exactly_one_image(self) -> "Pictured":
        if (self.image is None) == (self.inline_image is None):
            raise ValueError("expected exactly one of image (a pointer) and inline_image (base64)")
        if self.inline_image is not None:
            size = len(self.inline_bytes())
            if not 0 < size <= INLINE_IMAGE_BYTES:
                raise ValueError(
                    f"inline_image has {size} bytes; allowed are 1 to {INLINE_IMAGE_BYTES}:"
                    " put it into the image store and send a pointer"
                )
        return self

    def inline_bytes(self) -> bytes:
        """Return the decoded inline image; raises ValueError where it is not base64."""
        return base64.b64decode(self.inline_image or "", validate=True)
