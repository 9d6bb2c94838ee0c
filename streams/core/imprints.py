"""What copies are recognised by: imprints of pictures, and which registered original a picture is nearest to."""

import hashlib
import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from enum import StrEnum
from functools import cached_property
from itertools import islice

import numpy as np
import numpy.typing as npt

from streams.events import NearOriginal, OriginalKind, Sha256

Imprint = npt.NDArray[np.float32]
"""Shape (d,): bits as 0 and 1, or a vector of unit length."""

Imprints = tuple[Imprint, ...]
"""One imprint for each view of one picture: of the face in it, of the whole. Any of them may give a copy away."""

#: How many originals are told of one sample, the nearest first.
TOLD = 3


class Measure(StrEnum):
    """How two imprints are compared."""

    BITS = "bits"
    """Number of bits that differ: smaller is nearer."""
    COSINE = "cosine"
    """Cosine similarity in [-1, 1]: larger is nearer."""


@dataclass(frozen=True)
class Descriptor:
    """All that an imprint depends on: two imprints compare only within one descriptor."""

    name: str
    weights: str
    """SHA-256 of the network's file; empty where there is none."""
    dimension: int
    measure: Measure
    views: str
    """What of a picture is described: how it is cut out, size in pixels, resampler."""

    @cached_property
    def fingerprint(self) -> str:
        """``name/hash``: the name, and twelve hex digits of the SHA-256 over every field."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return f"{self.name}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, eq=False)
class Original:
    """An image that no sample may be a copy of."""

    original_id: str
    """The reference's id, or ``gallery.reference_id`` of a training image."""
    kind: OriginalKind
    identity: str
    """Whom it shows, so that it can be erased with them; empty where nobody said."""
    image_sha256: Sha256
    imprints: Imprints
    """Of each view, and after each that of its mirror image."""


def nearest(found: Iterable[NearOriginal], limit: int = TOLD) -> tuple[NearOriginal, ...]:
    """Return each original once, at its nearest: the nearest first, on ties by id, at most ``limit``."""
    best: dict[str, NearOriginal] = {}
    for one in sorted(found, key=_order):
        best.setdefault(one.original_id, one)
    return tuple(islice(best.values(), limit))


def _order(one: NearOriginal) -> tuple[float, str, bool]:
    return (-one.nearness, one.original_id, one.mirrored)
