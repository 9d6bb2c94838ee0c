"""Whether a clip shows one person throughout: which frames lie apart from the rest, and whether it drifts."""

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from streams.core.clips.frames import Floats, Frame
from streams.core.similarity import rounded

#: Frames are of one person where their embeddings lie no farther apart, in 1 - cosine, or where a chain of frames
#: leads from one to the other by such steps. Measured on walks through a generator's latent space: docs/CLIPS.md.
LINK = 0.25
#: In a restless clip, so many times the median step from one frame to the next instead.
RESTLESS = 10.0


def of_one_person(frames: Sequence[Frame]) -> list[int]:
    """Return the indices of the most frames that hang together; of equally many, those that begin first."""
    from scipy.sparse.csgraph import connected_components  # which nobody waits for who has no clip

    seen = [(frame.index, frame.embedding) for frame in frames if frame.embedding is not None]
    if not seen:
        return []
    vectors = np.stack([embedding for _, embedding in seen]).astype(np.float64)
    moves = steps(frames)
    far = max(LINK, RESTLESS * float(np.median(moves)) if len(moves) else 0.0)
    _, labels = connected_components(1.0 - vectors @ vectors.T <= far, directed=False)
    sizes = np.bincount(labels)
    first = [int(np.flatnonzero(labels == label)[0]) for label in range(len(sizes))]
    largest = min(range(len(sizes)), key=lambda label: (-sizes[label], first[label]))
    return [index for (index, _), label in zip(seen, labels, strict=True) if label == largest]


def to_the_rest(frames: Sequence[Frame], person: Sequence[int]) -> dict[int, float]:
    """Return each frame's similarity to the mean direction of the frames of ``person``, by index."""
    seen = {frame.index: frame.embedding.astype(np.float64) for frame in frames if frame.embedding is not None}
    if not person:
        return {}
    middle = np.mean([seen[index] for index in person], axis=0)
    length = max(1e-9, float(np.linalg.norm(middle)))
    return {index: rounded(float(vector @ middle) / length) for index, vector in seen.items()}


def drift(frames: Sequence[Frame]) -> float | None:
    """Return by how much similarity to the asked identity changes from the first frame to the last.

    The median slope between any two frames (Theil, 1950; Sen, 1968) times the clip's length: a few frames that lie
    apart do not bend it. None of fewer than two frames.
    """
    known = [(frame.index, frame.similarity) for frame in frames if frame.similarity is not None]
    if len(known) < 2:
        return None
    at, values = (np.array(column, dtype=np.float64) for column in zip(*known, strict=True))
    first, second = np.triu_indices(len(known), k=1)
    slopes = (values[second] - values[first]) / (at[second] - at[first])
    return round(float(np.median(slopes)) * float(at[-1] - at[0]), 4)


def steps(frames: Sequence[Frame]) -> Floats:
    """Return how far each frame's embedding lies from the one before: 1 - cosine, 0 and up, where both are there."""
    return np.array(
        [
            max(0.0, 1.0 - float(one.embedding.astype(np.float64) @ other.embedding))
            for one, other in pairwise(frames)
            if other.index == one.index + 1 and one.embedding is not None and other.embedding is not None
        ]
    )
