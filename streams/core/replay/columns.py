"""Measurements as columns: everything that a limit is compared with, of many samples at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from streams.core.imprints import nearest
from streams.core.measurement import Measurement

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Maybe:
    """Numbers that some rows do not have; a NaN is one that they have."""

    values: Floats
    """Shape (n,); anything where there is none."""
    there: Bools
    """Shape (n,)."""

    @classmethod
    def of(cls, values: Sequence[float | None]) -> Self:
        """Return a column of these."""
        there = np.array([value is not None for value in values], dtype=np.bool_)
        return cls(np.array([0.0 if value is None else value for value in values], dtype=np.float64), there)


@dataclass(frozen=True, eq=False)
class Others:
    """The identities near the samples that are not the ones asked for, those of one sample behind each other."""

    similarity: Floats
    """Shape (m,)."""
    resembles_target: Maybe
    protected: Bools
    ends: npt.NDArray[np.int64]
    """Shape (n + 1,): row i has those from ``ends[i]`` to before ``ends[i + 1]``."""


@dataclass(frozen=True, eq=False)
class Columns:
    """n measurements. What a name means is said at ``Measurement``."""

    references: npt.NDArray[np.int64]
    protected: Bools
    faces: Maybe
    face_side: Maybe
    sharpness: Maybe
    similarity: Maybe
    margin: Maybe
    copy_bits: Maybe
    """Of the nearest original."""
    copy_similarity: Maybe
    others: Others

    @classmethod
    def of(cls, measurements: Sequence[Measurement]) -> Self:
        """Return the columns of these measurements."""
        rows = [flat(one) for one in measurements]
        others = [other for row in rows for other in row["others"]]
        counts = [len(row["others"]) for row in rows]
        maybe = ("faces", "face_side", "sharpness", "similarity", "margin", "copy_bits", "copy_similarity")
        return cls(
            references=np.array([row["references"] for row in rows], dtype=np.int64),
            protected=np.array([row["protected"] for row in rows], dtype=np.bool_),
            others=Others(
                similarity=np.array([other["similarity"] for other in others], dtype=np.float64),
                resembles_target=Maybe.of([other["resembles_target"] for other in others]),
                protected=np.array([other["protected"] for other in others], dtype=np.bool_),
                ends=np.concatenate([[0], np.cumsum(counts, dtype=np.int64)]).astype(np.int64),
            ),
            **{name: Maybe.of([row[name] for row in rows]) for name in maybe},
        )


def flat(measurement: Measurement) -> dict[str, Any]:
    """Return what a limit is compared with, by the names of ``Columns``; the margin as the measurement rounds it."""
    original = next(iter(nearest(measurement.originals, 1)), None)
    return {
        "references": measurement.references,
        "protected": measurement.protected,
        "faces": measurement.faces,
        "face_side": measurement.face_side,
        "sharpness": measurement.sharpness,
        "similarity": measurement.similarity,
        "margin": measurement.margin,
        "copy_bits": original.bits if original else None,
        "copy_similarity": original.similarity if original else None,
        "others": [other.model_dump() for other in measurement.others],
    }
