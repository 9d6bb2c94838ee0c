"""How samples change from step to step: similarity, acceptance, and the distance to the enrolled references."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.core.gallery import Reference
from streams.core.metrics.distances import frechet
from streams.core.metrics.manifold import manifold
from streams.core.metrics.sketch import Sketch
from streams.core.replay.columns import Floats
from streams.tools.replay.gathered import Gathered

#: Neighbours for precision and recall, as their authors take (Kynkäänniemi et al. 2019).
NEIGHBOURS = 3


@dataclass(frozen=True)
class Step:
    """All samples of one step, or of one strength."""

    at: float
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


def steps(gathered: Gathered, references: Sequence[Reference]) -> list[Step]:
    """Return the steps in order.

    Args:
        gathered: The samples.
        references: Who is enrolled; only those whom samples should show are compared with.
    """
    asked = set(gathered.identity)
    real = [one.embedding for one in sorted(references, key=lambda one: one.reference_id) if one.identity in asked]
    rows = np.stack(real) if real else np.zeros((0, 0), np.float32)
    return [_step(gathered, at, rows) for at in gathered.groups]


def _step(gathered: Gathered, at: float, real: npt.NDArray[np.float32]) -> Step:
    of_step = gathered.group == at
    judged = of_step & gathered.judged
    made = [vector for place, vector in gathered.embeddings.items() if of_step[place]]
    fake = np.stack(made) if made else np.zeros((0, 0), np.float32)
    enough = min(len(real), len(fake)) > NEIGHBOURS
    alike = manifold(real, fake, NEIGHBOURS) if enough else None
    return Step(
        at=at,
        samples=int(np.count_nonzero(of_step)),
        accepted_before=float(np.mean(gathered.before[judged] == 0)) if judged.any() else None,
        accepted_after=float(np.mean(gathered.after[of_step] == 0)),
        similarity_before=_mean(gathered.was[of_step]),
        similarity_after=_mean(gathered.now[of_step]),
        frechet=frechet(Sketch.of(fake), Sketch.of(real)) if enough else None,
        precision=alike.precision if alike else None,
        recall=alike.recall if alike else None,
    )


def _mean(values: Floats) -> float | None:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else None
