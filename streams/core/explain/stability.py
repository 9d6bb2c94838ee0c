"""How stable an embedding is while parts of the network's last layer drop out: low where the face says little.

After SER-FIQ (Terhörst et al., CVPR 2020), which repeats the last layer alone where a network was trained with dropout
before it, as FaceNet was.
"""

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

from streams.core.faces import Face

Floats = npt.NDArray[np.float32]

#: Times that the layer is repeated, each with a mask of its own: the same ones for every face.
MASKS = 100
_SEED = 0
#: What is kept in training: facenet-pytorch's InceptionResnetV1 drops 0.6.
KEPT = 0.4
#: By how much an embedding may differ from what the layer makes of the features; more, and it is another network's.
_OFF = 0.01


@dataclass(frozen=True, eq=False)
class Head:
    """The network's last layer, with the normalisation behind it: from features to an embedding of any length."""

    weights: Floats
    """Shape (d, features)."""
    bias: Floats
    """Shape (d,)."""

    def directions(self, features: Floats) -> Floats:
        """Return embeddings (N, d) of unit length for features (N, features)."""
        vectors = features @ self.weights.T + self.bias
        return np.asarray(vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12), dtype=np.float32)


def stability(features: Floats, head: Head) -> float:
    """Return 2 sigmoid(-2/m^2 sum_{i<j} |x_i - x_j|) over the embeddings x of m masks (the paper's equation 2).

    Args:
        features: What the last layer takes of one face, shape (features,).
        head: The last layer.

    Returns:
        In [0, 1]; 1 where no mask moves the embedding.
    """
    x = head.directions(features * _masks(len(features))).astype(np.float64)
    squares = np.maximum(0.0, 2.0 - 2.0 * x @ x.T)
    np.fill_diagonal(squares, 0.0)
    return float(2.0 / (1.0 + np.exp(np.sqrt(squares).sum() / MASKS**2)))


def stability_of(face: Face, head: Head | None) -> float | None:
    """Return how stable a face's embedding is; None where its features, or the layer that made it, are not known."""
    if head is None or face.features is None or face.features.shape != head.weights.shape[1:]:
        return None
    if float(np.abs(head.directions(face.features[np.newaxis])[0] - face.embedding).max()) > _OFF:
        return None
    return stability(face.features, head)


@cache
def _masks(features: int) -> Floats:
    """Return (MASKS, features): 0 where a feature drops out, else what keeps the sum."""
    kept = np.random.default_rng(_SEED).random((MASKS, features)) < KEPT
    masks = np.asarray(kept / KEPT, dtype=np.float32)
    masks.flags.writeable = False  # it is shared
    return masks
