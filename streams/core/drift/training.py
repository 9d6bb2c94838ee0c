"""What one step of a training run is like: everything that is measured on its samples."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import numpy as np
from pydantic import BaseModel, ConfigDict

from streams.core.drift.calibration import FEWEST_IN_WINDOW
from streams.core.drift.chart import PER_SIMILARITY, Observation
from streams.core.faces import Embedding
from streams.core.metrics.distances import frechet, mmd2
from streams.core.metrics.diversity import mean_similarity, vendi
from streams.core.metrics.manifold import manifold, thinned
from streams.core.metrics.sketch import Floats, Sketch
from streams.events import ABSTENTIONS, ReasonCode

#: Diversity and distances of fewer embeddings say nothing, nor do distances to fewer references.
FEWEST_EMBEDDED = FEWEST_IN_WINDOW
#: And so many pairs of one person among them, as four samples of one have, or diversity says nothing.
FEWEST_PAIRS = 6
#: Neighbours that precision, recall, density and coverage look at, and rows of either side below which these say
#: nothing: the reach of a row would be that of a good part of all.
NEIGHBOURS, FEWEST_OF_NEIGHBOURS = 5, 20
#: Of more rows, so many are compared with each other: all pairs of them fit into memory.
MOST_OF_NEIGHBOURS = 1000
_COPY_CODES = frozenset({ReasonCode.COPY.value, ReasonCode.NEAR_COPY.value})
_ABSTENTION_CODES = frozenset(code.value for code in ABSTENTIONS)


class StepMetrics(BaseModel):
    """All that is measured on the samples of one step; the fields are those of ``events.TrainingAdvised``."""

    model_config = ConfigDict(frozen=True)

    samples: int
    accepted: int
    flagged: dict[str, int]
    measured: int
    """Samples with a similarity."""
    similarity: float | None = None
    similarity_sd: float | None = None
    rank1: float | None = None
    copy_rate: float | None = None
    leak_rate: float | None = None
    abstention_rate: float | None = None
    embedded: int = 0
    """Those of ``measured`` whose embedding is there: what everything from here on rests on."""
    diversity: float | None = None
    vendi: float | None = None
    references: int = 0
    references_diversity: float | None = None
    references_vendi: float | None = None
    frechet: float | None = None
    mmd2: float | None = None
    precision: float | None = None
    recall: float | None = None
    density: float | None = None
    coverage: float | None = None

    @property
    def error(self) -> float:
        """Standard error of ``similarity``; infinite where nobody can say."""
        if self.similarity_sd is None or self.measured < FEWEST_IN_WINDOW:
            return math.inf
        return self.similarity_sd / math.sqrt(self.measured)


def measure_step(
    observations: Sequence[Observation],
    embeddings: Mapping[str, Embedding],
    references: Mapping[str, Sequence[Embedding]],
) -> StepMetrics:
    """Return the metrics of one step.

    Args:
        observations: All its samples, in any order.
        embeddings: By sample id, of those that have one.
        references: By identity, the enrolled references of those that the samples should show: unit vectors.
    """
    ordered = sorted(observations, key=lambda one: one.sample_id)
    n = len(ordered)
    # What has a face: the score of an abstention says so, and is no similarity.
    measured = [one for one in ordered if one.score is not None and one.score >= -PER_SIMILARITY]
    similarities = [(one.score or 0) / PER_SIMILARITY for one in measured]
    mean = math.fsum(similarities) / len(measured) if measured else None
    found: dict[str, float | int | None] = {}
    if mean is not None:
        found["similarity"] = round(mean, 6)
        found["rank1"] = round(sum(one.margin is None or one.margin >= 0 for one in measured) / len(measured), 6)
        if len(measured) > 1:
            squares = math.fsum((value - mean) ** 2 for value in similarities)
            found["similarity_sd"] = round(math.sqrt(squares / (len(measured) - 1)), 6)
    reasons = Counter(code for one in ordered for code in set(one.reasons))
    return StepMetrics(
        samples=n,
        accepted=sum(not one.reasons for one in ordered),
        flagged=dict(sorted(reasons.items())),
        measured=len(measured),
        copy_rate=_share(ordered, _COPY_CODES),
        leak_rate=_share(ordered, {ReasonCode.LEAK.value}),
        abstention_rate=_share(ordered, _ABSTENTION_CODES),
        **found,
        **_of_embeddings(measured, embeddings, references),
    )


def _share(observations: Sequence[Observation], codes: frozenset[str] | set[str]) -> float | None:
    if not observations:
        return None
    return round(sum(not codes.isdisjoint(one.reasons) for one in observations) / len(observations), 6)


def _of_embeddings(
    observations: Sequence[Observation],
    embeddings: Mapping[str, Embedding],
    references: Mapping[str, Sequence[Embedding]],
) -> dict[str, Any]:
    made: defaultdict[str, list[Embedding]] = defaultdict(list)
    for one in observations:
        if one.sample_id in embeddings:
            made[one.identity].append(embeddings[one.sample_id])
    fake, real = _rows(made), _rows(references)
    found: dict[str, Any] = {"embedded": len(fake), "references": len(real)}
    if len(fake) >= FEWEST_EMBEDDED:
        found |= {"diversity": _diversity(made), "vendi": _rounded(vendi(Sketch.of(fake)))}
    if len(real) >= FEWEST_EMBEDDED:
        varied = _rounded(vendi(Sketch.of(real)))
        found |= {"references_diversity": _diversity(references), "references_vendi": varied}
    if min(len(fake), len(real)) >= FEWEST_EMBEDDED:
        both = Sketch.of(real), Sketch.of(fake)
        found |= {"frechet": _rounded(frechet(*both)), "mmd2": _rounded(mmd2(*both))}
    if min(len(fake), len(real)) >= FEWEST_OF_NEIGHBOURS:
        near = manifold(thinned(real, MOST_OF_NEIGHBOURS), thinned(fake, MOST_OF_NEIGHBOURS), k=NEIGHBOURS)
        found |= {name: _rounded(value) for name, value in asdict(near).items()}
    return found


def _rows(by_identity: Mapping[str, Sequence[Embedding]]) -> Floats:
    """Return all of them, person by person, shape (n, d)."""
    rows = [one for name in sorted(by_identity) for one in by_identity[name]]
    return np.stack(rows).astype(np.float64) if rows else np.empty((0, 0))


def _diversity(by_identity: Mapping[str, Sequence[Embedding]]) -> float | None:
    """Return 1 - the mean cosine of two of one identity; None where too few pairs are of one."""
    within = [Sketch.of(np.stack(found)) for _, found in sorted(by_identity.items()) if len(found) > 1]
    pairs = [one.count * (one.count - 1) // 2 for one in within]
    if sum(pairs) < FEWEST_PAIRS:
        return None
    alike = math.fsum(mean_similarity(one) * count for one, count in zip(within, pairs, strict=True))
    return _rounded(1 - alike / sum(pairs))


def _rounded(value: float) -> float:
    return round(value, 6) + 0.0  # never -0.0
