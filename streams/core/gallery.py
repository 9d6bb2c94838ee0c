"""What the gallery holds, as plain values."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from streams.core.faces import Embedding


class Origin(StrEnum):
    """Where a reference comes from. A gallery holds one origin only: it is the gallery's domain."""

    PHOTO = "photo"
    SYNTHETIC = "synthetic"


@dataclass(frozen=True, eq=False)
class Reference:
    """One enrolled image."""

    reference_id: str
    identity: str
    origin: Origin
    image_sha256: str
    embedding: Embedding
    second: Embedding | None = None
    """In the space of the second verifier, on the way to its own gallery; None where none looked."""


@dataclass(frozen=True, eq=False)
class Identity:
    """Somebody enrolled, without the references themselves."""

    identity: str
    origin: Origin
    centroid: Embedding
    """Renormalised centroid of the references, unit length."""
    references: int
    concentration: float
    """Resultant length of the references in [0, 1]; low = not one person, or not one look."""
    protected: bool = False
    """Enrolled only so that nobody generates them."""
    conditioning: Mapping[str, tuple[float, ...]] = field(default_factory=dict)
    """What makes each generator show this identity: model name to vector."""


@dataclass(frozen=True)
class NearIdentity:
    """An enrolled identity near a probe: similarity to its centroid."""

    identity: str
    similarity: float
    protected: bool = False


@dataclass(frozen=True)
class Neighbourhood:
    """What lies near one probe, nearest first."""

    identities: tuple[NearIdentity, ...]
    references: tuple[tuple[str, str, float], ...]
    """(reference id, identity, similarity)."""


def reference_id(identity: str, image_sha256: str) -> str:
    """Return the id of one identity's reference: the same image enrolled again is the same reference."""
    return hashlib.sha256(f"{identity}\n{image_sha256}".encode()).hexdigest()[:32]


def next_version(version: str, change: str) -> str:
    """Return the gallery version after a change: a chain, so that equal histories have equal versions.

    >>> next_version("", "enrol anna 2f") == next_version("", "enrol anna 2f")
    True
    """
    return hashlib.sha256(f"{version}\n{change}".encode()).hexdigest()[:16]
