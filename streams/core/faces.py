"""What was seen in one image, and the embedding space in which it was seen."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from streams.events import DeadReason, Precision

Embedding = npt.NDArray[np.float32]
"""Shape (d,), unit length."""
Pixels = npt.NDArray[np.uint8]
"""Shape (H, W, 3), RGB, 0 to 255."""


@dataclass(frozen=True)
class EmbeddingSpace:
    """All that an embedding depends on: two embeddings compare only within one space."""

    embedder: str
    """Name of the network and its training data, such as ``facenet-128``."""
    weights: str
    """SHA-256 of the published weights file."""
    dimension: int
    detector: str
    alignment: str
    """How a face is cut out: box, margin, size in pixels, resampler."""
    normalisation: str
    """What happens to the pixels before the network and to the vector after it."""

    @cached_property
    def fingerprint(self) -> str:
        """``embedder/hash``: the name, and twelve hex digits of the SHA-256 over every field."""
        text = json.dumps(asdict(self), sort_keys=True, separators=(",", ":"))
        return f"{self.embedder}/{hashlib.sha256(text.encode()).hexdigest()[:12]}"


@dataclass(frozen=True, eq=False)
class Rough:
    """What an embedding in shorter numbers comes with: how far off it may be, and what the exact one takes."""

    precision: Precision
    error: float
    """The most by which a similarity may differ from that of the embedding in 32-bit floats."""
    crop: Pixels
    """The face as the embedder takes it."""


@dataclass(frozen=True, eq=False)
class Face:
    """One detected and embedded face."""

    embedding: Embedding
    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels of the image."""
    landmarks: tuple[tuple[float, float], ...]
    """Eyes, nose, mouth corners: five (x, y) in pixels of the image."""
    probability: float
    """The detector's own, in [0, 1]."""
    sharpness: float
    """Variance of the Laplacian of the grey 160 x 160 crop, 0 and up; small is blurred."""
    rough: Rough | None = None
    """None where the embedding was computed in 32-bit floats."""
    second: Embedding | None = None
    """In the space of the second verifier; None where none is set up, or it finds no direction."""
    portrait: Pixels | None = None
    """The face upright, and some of what is around it, from which it is told how it looks; small."""
    features: npt.NDArray[np.float32] | None = None
    """What the network's last layer makes the embedding of; None of rough ones, and where the engine does not tell."""

    @property
    def side(self) -> float:
        """The shorter side of the box, in pixels."""
        left, top, right, bottom = self.box
        return min(right - left, bottom - top)


@dataclass(frozen=True, eq=False)
class Sighting:
    """What the detector found in one image: how many faces, and the largest one of them."""

    faces: int
    largest: Face | None
    views: tuple[Pixels, ...] = ()
    """Small pictures of the face and of the whole image, from which imprints are made: cheap, where those are not."""


@dataclass(frozen=True)
class Undecodable:
    """Bytes that are not an image that we accept."""

    reason: DeadReason
    detail: str
    exception: str = ""
    """Class of the exception that says so; empty where none was raised."""


Examined = Sighting | Undecodable


def only_face(seen: Examined) -> Face | str:
    """Return the one face of an image, or why there is none."""
    if isinstance(seen, Undecodable):
        return seen.detail
    if seen.faces != 1 or seen.largest is None:
        return f"{seen.faces or 'no'} face{'s' if seen.faces > 1 else ''} found, expected one"
    return seen.largest
