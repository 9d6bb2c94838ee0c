"""What the steps of a training run so far advise: go on, keep an earlier checkpoint, or stop."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from streams.core.drift.training import StepMetrics

#: Standard errors: a step below the best one by so many is worse, by so many in each of the last steps is lost.
WORSE, MUCH_WORSE = 2.0, 3.0
#: So many steps in a row below the best one, and no recovery is waited for.
LOST_STEPS = 3
#: Part of the best step's variety below which a step counts as collapsed.
COLLAPSED = 0.5
#: Copies are too many where their share is above this beyond doubt.
COPIES = 0.01


@dataclass(frozen=True)
class Advice:
    """What to do, and why."""

    advice: Literal["continue", "best-so-far", "stop"]
    reason: str
    best_step: int | None


def advise(steps: Sequence[tuple[int, StepMetrics]]) -> Advice:
    """Return what to do at the last of these steps, from it and all before it, in order.

    Stop where images are copied, where the samples are all alike, or where similarity has been far below the best
    step's for long; keep the best step's checkpoint where this step is worse than it; else continue.
    """
    step, now = steps[-1]
    known = [(one, metrics) for one, metrics in steps if metrics.error < math.inf]
    best_step, best = _best(known)
    if copying(now):
        copies = round((now.copy_rate or 0.0) * now.samples)
        return Advice("stop", f"{copies} of {now.samples} samples copy an image", best_step)
    if best is None or best_step is None:
        return Advice("continue", f"{now.measured} samples with a face are too few to compare steps by", None)
    if now.error == math.inf:
        return Advice("continue", f"{now.measured} samples with a face are too few to compare with", best_step)
    if (how := collapse(now, best)) is not None:
        return Advice("stop", f"the samples collapse: {how} of step {best_step}", best_step)
    behind = [_behind(metrics, best) for one, metrics in known if one > best_step]
    said = f"similarity {now.similarity:.4f} is below the {best.similarity:.4f} of step {best_step}"
    if len(behind) >= LOST_STEPS and all(one > MUCH_WORSE for one in behind[-LOST_STEPS:]):
        return Advice("stop", f"{said} by more than {MUCH_WORSE:g} standard errors, {LOST_STEPS} steps long", best_step)
    if step != best_step and _behind(now, best) > WORSE:
        return Advice("best-so-far", f"{said} by more than {WORSE:g} standard errors", best_step)
    return Advice("continue", "no step before was better beyond doubt, and nothing is copied", best_step)


def _best(known: Sequence[tuple[int, StepMetrics]]) -> tuple[int | None, StepMetrics | None]:
    """Return the step of highest similarity that neither copies nor has collapsed: both are similar as no other is."""
    best_step, best = None, None
    for step, metrics in known:
        if copying(metrics) or (best is not None and collapse(metrics, best) is not None):
            continue
        if best is None or (metrics.similarity or 0.0) >= (best.similarity or 0.0):
            best_step, best = step, metrics
    return best_step, best


def copying(step: StepMetrics) -> bool:
    """Say whether more than ``COPIES`` of a step's samples are copies, beyond doubt."""
    copies = round((step.copy_rate or 0.0) * step.samples)
    return copies > 0 and _surely_above(copies, step.samples) > COPIES


def collapse(now: StepMetrics, best: StepMetrics) -> str | None:
    """Say how a step's samples are alike beside those of a good step, up to the words "of step …"; None: they are not.

    A young generator's samples vary for being wrong, and vary less as it learns: so what varies no less than the
    references themselves has not collapsed. A Vendi score and a coverage grow with the number of samples: both are held
    against those of no more samples only.
    """
    as_many = now.embedded >= best.embedded
    if _halved(now.diversity, best.diversity) and _below(now.diversity, now.references_diversity):
        return f"diversity is {now.diversity:.3f}, less than half of the {best.diversity:.3f}"
    narrow = as_many and now.embedded >= now.references and _below(now.vendi, now.references_vendi)
    if narrow and _halved(now.vendi, best.vendi):
        return f"the Vendi score is {now.vendi:.2f}, less than half of the {best.vendi:.2f}"
    # Whoever is farther from whom it should show covers less too: that is no collapse.
    if as_many and _behind(now, best) <= WORSE and _halved(now.coverage, best.coverage):
        before, after = best.coverage or 0.0, now.coverage or 0.0
        error = math.hypot(*(math.sqrt(p * (1 - p) / step.references) for p, step in ((before, best), (after, now))))
        if before - after > WORSE * error:
            return f"similarity holds, and coverage is {after:.2f}, less than half of the {before:.2f}"
    return None


def _halved(now: float | None, before: float | None) -> bool:
    return now is not None and before is not None and now < COLLAPSED * before


def _below(now: float | None, references: float | None) -> bool:
    """Say whether samples vary less than the references do; where nobody knows how these vary, they may."""
    return references is None or (now is not None and now < references)


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
