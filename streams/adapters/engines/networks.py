"""Both networks as the face engine uses them, whichever engine runs them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.adapters.facenet.crops import standardised, whitened
from streams.adapters.facenet.detector import Detect
from streams.adapters.facenet.landmarks import Landmarks
from streams.adapters.facenet.weights import Published
from streams.core.explain.stability import Head
from streams.core.faces import Pixels
from streams.events import Precision

Floats = npt.NDArray[np.float32]

Run = Callable[[Floats], list[Floats]]
"""A network of one input: takes a batch, returns every output in its order."""

Embed = Callable[[Floats], Floats]
"""Takes faces as float32 (N, 160, 160, 3), normalised; returns embeddings (N, d)."""

EmbedWhole = Callable[[Floats], tuple[Floats, Floats]]
"""Takes faces as ``Embed`` does; returns embeddings (N, d), and what the last layer made them of, (N, features)."""

EmbedFast = Callable[[Floats], tuple[Floats, Floats]]
"""Takes faces as ``Embed`` does; returns embeddings (N, d), and lengths (N,): theirs before they had unit length."""


@dataclass(frozen=True)
class FastEmbedder:
    """The embedder's network in shorter numbers: faster, and a little off."""

    precision: Precision
    embed: EmbedFast
    scaled_error: float
    """The most by which a similarity may differ from that of the embedding in 32-bit floats, times the length.

    What short numbers lose is about as long for every face, so a short vector is turned farther by it.
    """
    least_cosine: float
    """Of a face's two embeddings, where the error was measured."""


@dataclass(frozen=True)
class FaceNetworks:
    """The detector's and the embedder's networks, loaded; used by one thread at a time."""

    detect: Detect
    embed: Embed
    landmarks: Landmarks
    what: Published
    """What is published of the embedder."""
    fast: FastEmbedder | None = None
    """Embeds a face the first time it is looked at; None where the exact one does."""
    embed_whole: EmbedWhole | None = None
    """As ``embed``, in the same time; None where the engine does not tell the features."""
    head: Head | None = None
    """The embedder's last layer, where it is known: how stable embeddings are is told by it."""

    def normalised(self, crops: Pixels) -> Floats:
        """Return crops, uint8 (N, 160, 160, 3), as the embedder takes them."""
        return whitened(crops) if self.what.whitened else standardised(crops)
