"""Both networks as the face engine uses them, and which engine runs them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.adapters.detector import Detect
from streams.adapters.facenet_weights import Published

Floats = npt.NDArray[np.float32]

Embed = Callable[[Floats], Floats]
"""Takes faces as float32 (N, 160, 160, 3), normalised; returns embeddings (N, d)."""


@dataclass(frozen=True)
class FaceNetworks:
    """The detector's and the embedder's networks, loaded; used by one thread at a time."""

    detect: Detect
    embed: Embed
    what: Published
    """What is published of the embedder."""
