"""Nearness: cosine similarity in [-1, 1], larger is nearer, rounded before it meets a limit."""

from collections.abc import Sequence

import numpy as np

from streams.core.faces import Embedding

#: Decimals of a similarity. Larger than the noise that a batch's company adds to most, and the unit of every limit.
DECIMALS = 4


def unit(vector: Embedding) -> Embedding:
    """Return the vector at unit length, float32.

    Raises:
        ValueError: If the vector has no direction: zero, infinite or not a number.
    """
    length = float(np.linalg.norm(vector.astype(np.float64)))
    if not np.isfinite(length) or length < 1e-12:
        raise ValueError(f"expected a vector with a direction, got one of length {length}")
    return np.asarray(vector / length, dtype=np.float32)


def similarity(a: Embedding, b: Embedding) -> float:
    """Return the cosine similarity of two unit vectors, rounded to ``DECIMALS``.

    >>> similarity(np.array([1, 0], np.float32), np.array([0.6, 0.8], np.float32))
    0.6
    """
    return rounded(float(np.dot(a.astype(np.float64), b.astype(np.float64))))


def rounded(value: float) -> float:
    """Return ``value`` clipped to [-1, 1] and rounded to ``DECIMALS``; refuses NaN."""
    if value != value:
        raise ValueError("expected a similarity, got NaN")
    return round(min(1.0, max(-1.0, value)), DECIMALS)


def centroid(references: Sequence[Embedding]) -> Embedding:
    """Return the renormalised centroid of unit vectors: sum(r_j) / ||sum(r_j)||, shape (d,).

    Raises:
        ValueError: If there is no reference, or the references cancel out.
    """
    if not references:
        raise ValueError("expected at least one reference, got none")
    return unit(np.sum(np.stack(references).astype(np.float64), axis=0))


def concentration(references: Sequence[Embedding]) -> float:
    """Return the resultant length ||sum(r_j)|| / k in [0, 1]: 1 = all references alike."""
    total = np.sum(np.stack(references).astype(np.float64), axis=0)
    return float(np.linalg.norm(total)) / len(references)
