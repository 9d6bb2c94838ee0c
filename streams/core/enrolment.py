"""What a gallery takes in, and how an enrolment reads in the gallery's history. Every gallery keeps these rules."""

import hashlib
from collections.abc import Sequence
from functools import cache

import numpy as np
from pydantic import TypeAdapter, ValidationError

from streams.core.faces import Embedding, EmbeddingSpace
from streams.core.gallery import Identity, Origin, Reference
from streams.errors import BadInput
from streams.events import Name

#: How far a vector's length may be from 1: far above float32 rounding, far below what moves a similarity.
UNIT_TOLERANCE = 1e-3


def is_name(text: str) -> bool:
    """Say whether ``text`` can name an identity, a reference or a sample: the pattern of ``events.Name``.

    >>> is_name("anna@lab/3"), is_name('anna" or "" == "')
    (True, False)
    """
    try:
        _name().validate_python(text)
    except ValidationError:
        return False
    return True


@cache
def _name() -> TypeAdapter[str]:
    return TypeAdapter(Name)


def require_name(text: str, what: str) -> None:
    """Raise BadInput where ``text`` is not a name; ``what`` says whose."""
    if not is_name(text):
        raise BadInput(
            f"expected the {what} as letters, digits and . _ : / @ + - (at most 200, a letter or digit first),"
            f" got {text[:80]!r}: choose another id"
        )


def checked_vector(vector: Embedding, space: EmbeddingSpace, what: str) -> Embedding:
    """Return ``vector`` as float32, shape (dimension,). It may come from any program, so it is looked at.

    Raises:
        BadInput: If it has another shape, holds NaN or infinity, or is not of unit length.
    """
    array = np.asarray(vector, dtype=np.float32)
    if array.shape != (space.dimension,):
        raise BadInput(
            f"expected {what} of shape ({space.dimension},) for {space.fingerprint}, got {array.shape}:"
            " embed it with that space's embedder"
        )
    length = float(np.linalg.norm(array.astype(np.float64)))
    if not abs(length - 1.0) <= UNIT_TOLERANCE:  # written so that NaN is refused too
        raise BadInput(f"expected {what} of unit length, got length {length}: normalise it first")
    return array


def check_enrolment(
    identity: Identity, references: Sequence[Reference], space: EmbeddingSpace, domain: Origin | None
) -> None:
    """Raise BadInput unless the references are those of ``identity`` and fit a gallery of this ``domain``."""
    who = identity.identity
    require_name(who, "identity")
    if domain is not None and identity.origin is not domain:
        raise BadInput(
            f"expected {who} of origin {domain}, as everybody in this gallery is, got {identity.origin}:"
            " enrol it in a gallery of its own"
        )
    if len(references) != identity.references or not references:
        raise BadInput(f"expected all {identity.references} references of {who} (one at least), got {len(references)}")
    ids = [reference.reference_id for reference in references]
    if len(set(ids)) != len(ids):
        raise BadInput(f"expected references of {who} with ids of their own, got one twice: give each image once")
    checked_vector(identity.centroid, space, f"the centroid of {who}")
    for reference in references:
        require_name(reference.reference_id, f"reference id of {who}")
        if (reference.identity, reference.origin) != (who, identity.origin):
            raise BadInput(
                f"expected references of {who} ({identity.origin}), got one of {reference.identity}"
                f" ({reference.origin}): enrol each identity with its own"
            )
        checked_vector(reference.embedding, space, f"reference {reference.reference_id}")


def enrolment(identity: Identity, references: Sequence[Reference]) -> str:
    """Return the change that an enrolment is, for ``next_version``: the same content gives the same text."""
    digest = hashlib.sha256()
    for reference in sorted(references, key=lambda reference: reference.reference_id):
        digest.update(f"{reference.reference_id} {reference.image_sha256}\n".encode())
        digest.update(np.asarray(reference.embedding, dtype="<f4").tobytes())
    digest.update(np.asarray(identity.centroid, dtype="<f4").tobytes())
    conditioning = sorted((model, tuple(vector)) for model, vector in identity.conditioning.items())
    digest.update(f"{identity.origin} {identity.protected} {conditioning!r}".encode())
    return f"enrol {identity.identity} {digest.hexdigest()[:32]}"


def removal(identity: str) -> str:
    """Return the change that a removal is, for ``next_version``."""
    return f"remove {identity}"
