"""How far embeddings in shorter numbers lie from the exact ones: measured once, on faces that serve nothing else.

What was measured is kept in a card in the cache, which states the error that a verdict is protected against.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.adapters.engines.networks import EmbedFast, FaceNetworks, FastEmbedder, Floats
from streams.adapters.precision.sample_faces import Drawn, draw
from streams.cards import ModelCard
from streams.core.similarity import centroid, unit
from streams.events import Precision
from streams.settings import Settings
from streams.wheels import Report

#: The largest scaled error that was measured is multiplied with this: other faces may be worse than the worst of them.
SAFETY = 1.5

#: On whose faces the error is measured: how many people, and the first one's number.
_PEOPLE, _FIRST = 300, 90_000

#: Faces are embedded so many at a time.
_BATCH = 16

#: Entries of a card that are read back.
_STATED, _LEAST_COSINE = "similarity error times length, stated", "cosine, least"


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

    @property
    def median_error(self) -> float:
        """What is stated of a face whose vector has the median length."""
        return self.bound / self.median_length

    @property
    def limit(self) -> str:
        """What a card says of how far the statement can be trusted."""
        return (
            f"The stated error is the largest of {self.faces} held-out faces against {self.centroids} centroids, times"
            f" {SAFETY}. No proof: on faces unlike these it may be larger."
        )

    @property
    def entries(self) -> Mapping[str, float]:
        """What a card says in numbers."""
        return {
            _STATED: self.bound,
            "similarity error times length, largest": round(self.largest_scaled_error, 4),
            "similarity error, stated, at the median length": round(self.median_error, 4),
            "similarity error, largest": round(self.largest_error, 4),
            "similarity error, 99.9 %": round(self.p999_error, 4),
            "similarity error, mean": round(self.mean_error, 5),
            _LEAST_COSINE: float(np.floor(self.least_cosine * 1e4) / 1e4),
            "cosine, median": round(self.median_cosine, 5),
        }


def as_stated(precision: Precision, embed: EmbedFast, card: ModelCard) -> FastEmbedder:
    """Return the embedder with what its card states of it."""
    return FastEmbedder(precision, embed, float(card.conversion[_STATED]), float(card.conversion[_LEAST_COSINE]))


def measured(settings: Settings, exact: FaceNetworks, fast: EmbedFast, report: Report) -> tuple[Deviation, str]:
    """Measure on faces that are drawn for it, and say which ones; takes a minute.

    Raises:
        Unready, WeightsUnusable: If no faces can be drawn.
    """
    held_out = draw(exact, settings.cache_dir, people=_PEOPLE, first=_FIRST, report=report)
    return _compared(exact, fast, held_out), held_out.source


def deviation(exact: Floats, fast: Floats, lengths: Floats, people: npt.NDArray[np.int64]) -> Deviation:
    """Compare the embeddings of the same faces.

    Args:
        exact: In 32-bit floats, shape (N, d), unit length.
        fast: In shorter numbers, shape (N, d), unit length.
        lengths: Of the vectors in shorter numbers before they had unit length, shape (N,).
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


def _compared(exact: FaceNetworks, fast: EmbedFast, held_out: Drawn) -> Deviation:
    one, other, lengths = [], [], []
    for start in range(0, len(held_out.crops), _BATCH):
        faces = exact.normalised(held_out.crops[start : start + _BATCH])
        embeddings, some = fast(faces)
        one += [unit(embedding) for embedding in exact.embed(faces)]
        other += [unit(embedding) for embedding in embeddings]
        lengths.append(some)
    return deviation(np.stack(one), np.stack(other), np.concatenate(lengths), held_out.people)
