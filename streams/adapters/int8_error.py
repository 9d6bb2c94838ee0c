"""How far embeddings in 8-bit integers lie from the exact ones: measured on faces that no range was read off."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.core.similarity import centroid

Floats = npt.NDArray[np.float32]

#: The largest scaled error that was measured is multiplied with this: other faces may be worse than the worst of them.
SAFETY = 1.5


@dataclass(frozen=True)
class Deviation:
    """What was measured on faces against the centroids of many people."""

    faces: int
    centroids: int
    least_cosine: float
    """Of a face's two embeddings, over all faces."""
    median_cosine: float
    largest_scaled_error: float
    """Of a similarity to a centroid, times the length of the face's vector: over all faces and centroids."""
    median_length: float
    largest_error: float
    """Of a similarity to a centroid, over all faces and centroids."""
    p999_error: float
    """Nine hundred and ninety-nine of a thousand errors are smaller."""
    mean_error: float

    @property
    def bound(self) -> float:
        """The scaled error that is stated: the largest, times ``SAFETY``, to the next 0.0001."""
        return float(np.ceil(self.largest_scaled_error * SAFETY * 1e4) / 1e4)


def deviation(exact: Floats, fast: Floats, lengths: Floats, people: npt.NDArray[np.int64]) -> Deviation:
    """Compare the embeddings of the same faces.

    Args:
        exact: In 32-bit floats, shape (N, d), unit length.
        fast: In 8-bit integers, shape (N, d), unit length.
        lengths: Of the vectors in 8-bit integers before they had unit length, shape (N,).
        people: Whom each face shows, shape (N,); the faces of one person make a centroid.
    """
    centroids = np.stack([centroid(list(exact[people == person])) for person in np.unique(people)]).astype(np.float64)
    errors = np.abs((fast.astype(np.float64) - exact) @ centroids.T)  # (N, people)
    cosines = (exact.astype(np.float64) * fast).sum(axis=1)
    return Deviation(
        faces=len(exact),
        centroids=len(centroids),
        least_cosine=float(cosines.min()),
        median_cosine=float(np.median(cosines)),
        largest_scaled_error=float((errors * lengths[:, np.newaxis]).max()),
        median_length=float(np.median(lengths)),
        largest_error=float(errors.max()),
        p999_error=float(np.quantile(errors, 0.999)),
        mean_error=float(errors.mean()),
    )
