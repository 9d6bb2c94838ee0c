"""Training, whatever the family: draw, update, average, keep, measure; stop at any moment and go on from there.

What one step draws depends on the run's seed and the step's number alone. A run that is killed and taken up again goes
on from its last checkpoint as if nothing had happened.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from generators import checkpoint
from generators.checkpoint import Meta
from generators.data import Faces
from generators.evaluate import Figures
from generators.feedback import Course, course
from generators.learning import Batch, Learner
from generators.recipe import Recipe
from generators.serve import Sampler
from streams.events import TrainingAdvised
from streams.wheels import Report, silent

Measure = Callable[[Sampler, int], Figures]
"""Judges what a sampler makes, after so many steps."""

#: How often a line of progress is told, in seconds.
TELL_SECONDS = 15.0


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    step: int
    steps: int
    losses: dict[str, float]
    steps_per_second: float
    faces_per_second: float
    seconds_left: float
    """Until the last step, or the end of the minutes, whichever is nearer."""

    def __str__(self) -> str:
        """Return one line."""
        losses = "  ".join(f"{name} {value:.4f}" for name, value in self.losses.items())
        rates = f"{self.steps_per_second:.2f} steps/s  {self.faces_per_second:.0f} faces/s"
        minutes, seconds = divmod(round(self.seconds_left), 60)
        return (
            f"step {self.step}/{self.steps}  {losses}  {rates}  {minutes // 60}:{minutes % 60:02d}:{seconds:02d} left"
        )


@dataclass
class _Since:
    """What has happened since the last line was told."""

    at: float
    step: int
    sums: dict[str, list[float]] = field(default_factory=dict)

    def add(self, losses: dict[str, float]) -> None:
        for name, value in losses.items():
            self.sums.setdefault(name, []).append(value)

    def means(self) -> dict[str, float]:
        return {name: math.fsum(values) / len(values) for name, values in self.sums.items()}


def train(
    learner: Learner,
    recipe: Recipe,
    faces: Faces,
    run: Path,
    *,
    device: str = "cpu",
    measure: Measure | None = None,
    report: Report = silent,
    stop: Callable[[], bool] = lambda: False,
    advised: Callable[[], TrainingAdvised | None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> Meta:
    """Train until the plan is done or somebody says stop, and return the meta data of the last checkpoint.

    Args:
        learner: A new one; it takes over the run's last checkpoint if there is one.
        recipe: Of the run.
        faces: Those to learn from; nobody who is measured on may be among them.
        run: The folder of checkpoints.
        device: Where batches are put.
        measure: Judges the samples from time to time, and when the plan is done.
        report: Takes a line at a time.
        stop: Asked after every step.
        advised: What the samples' feedback says by now; asked before every step. It can mark the best checkpoint, end
            the run, and make the identity loss count more.
        clock: Seconds from anywhere.

    Raises:
        WeightsUnusable: If the run's last checkpoint cannot be gone on from.
    """
    plan = recipe.plan
    torch.set_num_threads(plan.threads)
    data = faces.sha256
    begun, spent, metrics = _taken_up(learner, run, data, report)
    most = math.inf if plan.minutes is None else plan.minutes * 60
    start = kept = measured = clock()
    since = _Since(start, begun)
    steering = _Steering(learner, run, report)

    def keep(step: int) -> Meta:
        meta = Meta(recipe.family, recipe.as_json(), step, spent + clock() - start, data, metrics)
        checkpoint.save(learner, meta, run, steering.unjudged)
        return meta

    step = begun
    while step < plan.steps and spent + clock() - start < most and not stop() and not steering.follow(advised()):
        # Two draws, so that a family that draws more or less does not move the batches.
        batch = Batch.drawn(faces, plan.batch, np.random.default_rng([plan.seed, step, 0]), device)
        since.add(learner.step(batch, step, np.random.default_rng([plan.seed, step, 1])))
        step += 1
        now = clock()
        if now - since.at >= TELL_SECONDS:
            report(str(_progress(since, step, now, most - spent - (now - start), recipe)))
            since = _Since(now, step)
        if measure is not None and now - measured >= plan.evaluate_seconds:
            metrics = measure(learner.sampler(), step).as_json()
            report(f"step {step}: {_told(metrics)}")
            steering.measured(step)
            keep(step)
            kept = measured = clock()
        if now - kept >= plan.checkpoint_seconds:
            keep(step)
            kept = clock()
    if step == begun and (found := checkpoint.steps(run)):
        return checkpoint.read_meta(found[-1])
    # Whoever says stop waits for nothing but the checkpoint.
    if measure is not None and not stop():
        metrics = measure(learner.sampler(), step).as_json()
        report(f"step {step}: {_told(metrics)}")
    return keep(step)


#: Checkpoints that are kept because what was measured of them may yet turn out to be the best.
_UNJUDGED = 3


@dataclass
class _Steering:
    """Follows the feedback on the samples."""

    learner: Learner
    run: Path
    report: Report
    unjudged: list[int] = field(default_factory=list)
    """Steps of which samples were shown, and nothing was said yet; the last few."""
    _course: Course = field(default_factory=Course)

    def measured(self, step: int) -> None:
        self.unjudged = [*self.unjudged, step][-_UNJUDGED:]

    def follow(self, advised: TrainingAdvised | None) -> bool:
        """Do what the feedback says; return whether that is to stop."""
        wanted = course(advised)
        if advised is None or wanted == self._course:
            return wanted.stop
        if wanted.emphasis != self._course.emphasis:
            self.learner.emphasise(wanted.emphasis)
            self.report(f"feedback on step {advised.step}: the identity loss counts {wanted.emphasis:.2f} times")
        if wanted.best_step is not None and wanted.best_step != self._course.best_step:
            marked = checkpoint.mark_best(self.run, wanted.best_step)
            what = "is marked as the best" if marked else "would be the best, and is gone"
            self.report(f"feedback on step {advised.step}: the checkpoint of step {wanted.best_step} {what}")
        if wanted.stop:
            self.report(f"feedback on step {advised.step}: stop: {wanted.reason}")
        self.unjudged = [step for step in self.unjudged if step > advised.step]
        self._course = wanted
        return wanted.stop


def _taken_up(learner: Learner, run: Path, data: str, report: Report) -> tuple[int, float, dict[str, Any]]:
    """Take over the last checkpoint if there is one; return its step, the seconds spent, and what was measured."""
    found = checkpoint.steps(run)
    if not found:
        return 0, 0.0, {}
    meta = checkpoint.read_meta(found[-1])
    checkpoint.resume(learner, found[-1])
    report(f"going on from step {meta.step} in {run}" + ("" if meta.data == data else ", on other faces than before"))
    return meta.step, meta.seconds, dict(meta.metrics)


def _progress(since: _Since, step: int, now: float, seconds_left: float, recipe: Recipe) -> Progress:
    plan = recipe.plan
    rate = (step - since.step) / max(now - since.at, 1e-9)
    left = min((plan.steps - step) / max(rate, 1e-9), seconds_left)
    return Progress(step, plan.steps, since.means(), rate, rate * plan.batch, max(left, 0.0))


def _told(metrics: dict[str, Any]) -> str:
    wanted = ("mean_similarity", "shuffled_similarity", "rank1", "frechet", "vendi", "abstained")
    return "  ".join(f"{name} {metrics[name]:.3f}" for name in wanted if metrics.get(name) is not None)
