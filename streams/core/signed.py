"""The receipt of an erasure as a document: what of it is signed, and how the signature stands beside it."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from streams.core.erasure import Receipt
from streams.errors import BadInput

#: Where the signature stands in the document: all the rest is signed.
SIGNATURE = "signature"


class Signature(BaseModel):
    """Who signed a document. The public key alone says nothing: whoever alters a document can sign it anew."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    algorithm: str
    """``Ed25519`` (RFC 8032)."""
    public_key: str
    """32 bytes in base64."""
    value: str
    """64 bytes in base64."""


def document(receipt: Receipt) -> dict[str, Any]:
    """Return the receipt as it is kept, not signed yet."""
    return {**asdict(receipt), "complete": receipt.complete}


def signed_bytes(kept: Mapping[str, Any]) -> bytes:
    """Return what is signed: all but the signature, as the JSON Canonicalization Scheme (RFC 8785) writes it.

    For these documents, which hold no fractions and only ASCII names, that is JSON with sorted names and no spaces.

    >>> signed_bytes({"b": 1, "a": ["ü"], "signature": None}).decode()
    '{"a":["ü"],"b":1}'
    """
    content = {name: value for name, value in kept.items() if name != SIGNATURE}
    return json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parsed(text: str, where: str) -> tuple[dict[str, Any], Signature | None]:
    """Return the document that a file holds, and its signature; ``where`` names the file in errors.

    Raises:
        BadInput: If it is no receipt.
    """
    try:
        kept = json.loads(text)
        if not isinstance(kept, dict) or not {"receipt", "identity", "complete"} <= kept.keys():
            raise ValueError("no receipt")
        held = kept.get(SIGNATURE)
        return kept, None if held is None else Signature.model_validate(held)
    except (ValueError, ValidationError) as error:
        raise BadInput(f"expected a receipt of `likeness forget` in {where}, got {error}: name another file") from error
