"""What one step of a training run is like, and what the steps so far advise."""

import math
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from streams.core.drift.calibration import FEWEST_IN_WINDOW
from streams.core.drift.chart import PER_SIMILARITY, Observation
from streams.core.drift.moments import Moments, frechet, mean_similarity, mmd2, vendi
from streams.core.faces import Embedding
from streams.events import ABSTENTIONS, ReasonCode

#: Standard errors: a step below the best one by so many is worse, by so many in each of the last steps is lost.
WORSE, MUCH_WORSE = 2.0, 3.0
#: So many steps in a row below the best one, and no recovery is waited for.
LOST_STEPS = 3
#: Part of the best step's diversity below which a step counts as collapsed.
COLLAPSED = 0.5
#: Copies are too many where their share is above this beyond doubt.
COPIES = 0.01
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
    diversity: float | None = None
    vendi: float | None = None
    frechet: float | None = None
    mmd2: float | None = None
    references: int = 0

    @property
    def error(self) -> float:
        """Standard error of ``similarity``; infinite where nobody can say."""
        if self.similarity_sd is None or self.measured < FEWEST_IN_WINDOW:
            return math.inf
        return self.similarity_sd / math.sqrt(self.measured)


@dataclass(frozen=True)
class Advice:
    """What to do, and why."""

    advice: Literal["continue", "best-so-far", "stop"]
    reason: str
    best_step: int | None


def measure_step(
    observations: Sequence[Observation],
    embeddings: Mapping[str, Embedding],
    references: Sequence[Embedding],
) -> StepMetrics:
    """Return the metrics of one step.

    Args:
        observations: All its samples, in any order.
        embeddings: By sample id, of those that have one.
        references: Unit vectors: the enrolled references of the identities that the samples should show.
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
        references=len(references),
        **found,
        **_of_embeddings(measured, embeddings, references),
    )


def _share(observations: Sequence[Observation], codes: frozenset[str] | set[str]) -> float | None:
    if not observations:
        return None
    return round(sum(not codes.isdisjoint(one.reasons) for one in observations) / len(observations), 6)


def _of_embeddings(
    observations: Sequence[Observation], embeddings: Mapping[str, Embedding], references: Sequence[Embedding]
) -> dict[str, float | None]:
    by_identity: defaultdict[str, list[Embedding]] = defaultdict(list)
    for one in observations:
        if one.sample_id in embeddings:
            by_identity[one.identity].append(embeddings[one.sample_id])
    if not by_identity:
        return {}
    within = {name: Moments.of(by_identity[name]) for name in sorted(by_identity)}
    pairs = {name: moments.n * (moments.n - 1) for name, moments in within.items() if moments.n > 1}
    alike = math.fsum((mean_similarity(within[name]) or 0.0) * count for name, count in pairs.items())
    everything = sum(list(within.values())[1:], start=next(iter(within.values())))
    theirs = Moments.of(references) if references else None
    return {
        "diversity": _rounded(1 - alike / sum(pairs.values())) if pairs else None,
        "vendi": _rounded(vendi(everything)),
        "frechet": _rounded(frechet(everything, theirs)) if theirs else None,
        "mmd2": _rounded(mmd2(everything, theirs)) if theirs else None,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None or not np.isfinite(value) else round(value, 6)


def advise(steps: Sequence[tuple[int, StepMetrics]]) -> Advice:
    """Return what to do at the last of these steps, from it and all before it, in order.

    Stop where images are copied, where the samples are all alike, or where similarity has been far below the best
    step's for long; keep the best step's checkpoint where this step is worse than it; else continue.
    """
    step, now = steps[-1]
    known = [(one, metrics) for one, metrics in steps if metrics.similarity is not None and metrics.error < math.inf]
    best_step, best = max(known, key=lambda each: (each[1].similarity or 0.0, each[0]), default=(None, None))
    copies = round((now.copy_rate or 0.0) * now.samples)
    if copies and _surely_above(copies, now.samples) > COPIES:
        return Advice("stop", f"{copies} of {now.samples} samples copy an image", best_step)
    if best is None or best_step is None:
        return Advice("continue", f"{now.measured} samples with a face are too few to compare steps by", None)
    if now.error == math.inf:
        return Advice("continue", f"{now.measured} samples with a face are too few to compare with", best_step)
    if now.diversity is not None and best.diversity and now.diversity < COLLAPSED * best.diversity:
        said = f"diversity is {now.diversity:.3f}, less than half of the {best.diversity:.3f} of step {best_step}"
        return Advice("stop", f"the samples collapse: {said}", best_step)
    behind = [_behind(metrics, best) for one, metrics in known if one > best_step]
    said = f"similarity {now.similarity:.4f} is below the {best.similarity:.4f} of step {best_step}"
    if len(behind) >= LOST_STEPS and all(one > MUCH_WORSE for one in behind[-LOST_STEPS:]):
        return Advice("stop", f"{said} by more than {MUCH_WORSE:g} standard errors, {LOST_STEPS} steps long", best_step)
    if step != best_step and _behind(now, best) > WORSE:
        return Advice("best-so-far", f"{said} by more than {WORSE:g} standard errors", best_step)
    return Advice("continue", "no step before was better beyond doubt, and nothing is copied", best_step)


def _behind(step: StepMetrics, best: StepMetrics) -> float:
    """Return how many standard errors of the difference a step's similarity is below the best one's."""
    error = math.hypot(step.error, best.error)
    apart = (best.similarity or 0.0) - (step.similarity or 0.0)
    return apart / error if error > 0 else (math.inf if apart > 0 else 0.0)


def _surely_above(hits: int, n: int) -> float:
    """Return the lower end of Wilson's 95 % interval for a share of ``hits`` in ``n`` (Wilson 1927)."""
    z, p = 1.96, hits / n
    centre, width = p + z * z / (2 * n), z * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return (centre - width) / (1 + z * z / n)
