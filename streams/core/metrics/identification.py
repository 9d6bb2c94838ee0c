"""Does each sample show whom it should, and nobody else?"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from streams.core.metrics.sketch import Floats


@dataclass(frozen=True)
class Identification:
    """What n samples say of N identities; similarities are cosines in [-1, 1], larger is nearer."""

    samples: int
    identities: int
    mean_similarity: float
    """To the target's centroid."""
    shuffled_similarity: float
    """To the centroid of another target each: what a generator that ignores its target reaches."""
    rank1: float
    """Share of samples whose nearest centroid is the target's, in [0, 1]; chance is 1 / N."""


def identification(embeddings: Floats, targets: Sequence[int], centroids: Floats) -> Identification:
    """Compare samples with every identity.

    Args:
        embeddings: Unit rows, shape (n, d).
        targets: Index of the identity that each should show, n of them.
        centroids: Unit rows, shape (N, d), N of 2 and more.

    Raises:
        ValueError: If there are no samples, or nobody to take for somebody else.

    >>> identification(np.eye(3)[[0, 1, 1]], [0, 1, 2], np.eye(3)).rank1
    0.6666666666666666
    """
    if len(embeddings) == 0 or len(embeddings) != len(targets) or len(centroids) < 2:
        raise ValueError(
            f"expected a target of each sample and two identities, got {len(embeddings)} samples, {len(targets)}"
            f" targets and {len(centroids)} identities"
        )
    target = np.asarray(targets)
    similarities = embeddings.astype(np.float64) @ centroids.astype(np.float64).T  # (n, N)
    rows = np.arange(len(target))
    # Everybody else in turn, so that no shuffle by chance leaves a sample with its own target.
    others = (similarities.sum(axis=1) - similarities[rows, target]) / (len(centroids) - 1)
    return Identification(
        samples=len(embeddings),
        identities=len(centroids),
        mean_similarity=float(similarities[rows, target].mean()),
        shuffled_similarity=float(others.mean()),
        rank1=float((similarities.argmax(axis=1) == target).mean()),
    )
