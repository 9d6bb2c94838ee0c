"""How samples change from step to step: similarity, acceptance, and the distance to the enrolled references."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.core.gallery import Reference
from streams.core.metrics.distances import frechet
from streams.core.metrics.manifold import manifold, reaches, thinned
from streams.core.metrics.sketch import Sketch
from streams.core.similarity import DECIMALS
from streams.tools.replay.gathered import Gathered, Sums

#: Neighbours for precision and recall, as their authors take (Kynkäänniemi et al. 2019).
NEIGHBOURS = 3
#: Precision and recall are against so many references, evenly spread over all.
MOST_REFERENCES = 2000

_Rows = npt.NDArray[np.float32]


@dataclass(frozen=True)
class Step:
    """All samples of one step, or of one strength, or of some in a row."""

    at: float
    to: float
    """The last one; mostly the same as ``at``."""
    samples: int
    accepted_before: float | None
    """Share of those that had a verdict."""
    accepted_after: float
    similarity_before: float | None
    """Mean, over those that have one."""
    similarity_after: float | None
    frechet: float | None
    """Squared Fréchet distance to the references, in the embedding space; biased upwards by few samples."""
    precision: float | None
    recall: float | None

    @property
    def label(self) -> str:
        """As people call it."""
        return f"{self.at:g}" if self.at == self.to else f"{self.at:g}\N{EN DASH}{self.to:g}"


def steps(gathered: Gathered, references: Sequence[Reference], asked: set[str]) -> list[Step]:
    """Return the steps in order.

    Args:
        gathered: The samples.
        references: Who is enrolled.
        asked: Whom samples should show; nobody else is compared with.
    """
    real = [one.embedding for one in sorted(references, key=lambda one: one.reference_id) if one.identity in asked]
    against = _Against(np.stack(real) if real else np.zeros((0, 0), np.float32))
    groups, sums = gathered.groups, gathered.sums
    made: list[list[_Rows]] = [[] for _ in range(len(groups))]
    for one in gathered.embedded:
        if one.embedding is not None:
            made[one.group].append(one.embedding)
    return [
        _step(float(groups.firsts[place]), float(groups.lasts[place]), sums, place, against.compared(made[place]))
        for place in np.flatnonzero(sums.samples).tolist()
    ]


class _Against:
    """What steps are compared with: its sums and reaches are the same for all of them."""

    def __init__(self, real: _Rows) -> None:
        self._near = thinned(real, MOST_REFERENCES)
        self._enough = len(real) > NEIGHBOURS
        if self._enough:
            self._sketch, self._reach = Sketch.of(real), reaches(self._near, NEIGHBOURS)

    def compared(self, made: Sequence[_Rows]) -> tuple[float | None, float | None, float | None]:
        """Return Fréchet distance, precision and recall; of too few rows none."""
        if not self._enough or len(made) <= NEIGHBOURS:
            return None, None, None
        fake = np.stack(made)
        alike = manifold(self._near, fake, NEIGHBOURS, of_real=self._reach)
        return frechet(Sketch.of(fake), self._sketch), alike.precision, alike.recall


def _step(
    at: float, to: float, sums: Sums, place: int, compared: tuple[float | None, float | None, float | None]
) -> Step:
    samples, judged = float(sums.samples[place]), float(sums.judged[place])
    return Step(
        at,
        to,
        int(samples),
        float(sums.accepted_before[place]) / judged if judged else None,
        float(sums.accepted_after[place]) / samples,
        _mean(float(sums.was[place]), float(sums.known_before[place])),
        _mean(float(sums.now[place]), float(sums.known_after[place])),
        *compared,
    )


def _mean(total: float, known: float) -> float | None:
    return total / known / 10**DECIMALS if known else None
