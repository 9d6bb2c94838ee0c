"""A training run that breaks on purpose: sound checkpoints first, then ones whose weights take on more and more noise.

To the road it is a run like any other: it publishes the samples of its steps, reads the feedback and obeys it. So it
shows within a minute what becomes of a run that goes wrong, without the hours in which it would.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, cycle, islice, repeat
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from generators.gan import GanSampler
from generators.learners import trained
from streams.adapters.images.decode import encode_png
from streams.client.training import TrainingFeed
from streams.errors import DependencyUnavailable, WeightsUnusable
from streams.events import TrainingAdvised
from streams.wheels import Report

#: The shipped model whose weights are used.
MODEL = "face_identity_gan"
#: Updates between two steps, as a run counts them.
UPDATES = 1000
#: The sound steps: enough for a calibration, and some that are then charted in control.
SOUND = 12
#: The noise of the steps after them, in standard deviations of each tensor: first what no eye sees, then what all do.
FIRST_NOISE, MORE_NOISE = 0.6, 0.05
#: A run that nobody stops ends here.
MOST_STEPS = 26

#: How long the feedback on one step may take, in seconds.
PATIENCE_SECONDS = 120.0
_LOOK_SECONDS = 0.05


@dataclass(frozen=True)
class Rehearsed:
    """How the run went."""

    run_id: str
    steps: int
    samples: int
    stopped_at: int | None
    """The step on which the feedback said stop; None where it never did."""
    best_step: int | None


class Ailing:
    """A trained GAN that breaks by degrees, always the same way: the noise grows, and does not change."""

    def __init__(self, folder: Path) -> None:
        """Load the checkpoint in a folder.

        Raises:
            WeightsUnusable: If there is none, or it is not a GAN's.
        """
        found = trained(folder)
        if not isinstance(found.sampler, GanSampler):
            raise WeightsUnusable(f"expected a GAN's checkpoint in {folder}, got one of {found.meta.family}")
        self._sampler = found.sampler
        self._sound = {name: tensor.clone() for name, tensor in found.sampler.network.state_dict().items()}
        draw = torch.Generator().manual_seed(0)
        self._noise = {name: _like(tensor, draw) for name, tensor in self._sound.items()}

    def at(self, noise: float) -> GanSampler:
        """Return the sampler with so much noise in its weights, in standard deviations of each tensor; 0 is sound."""
        worn = {name: tensor + noise * self._noise[name] for name, tensor in self._sound.items()}
        self._sampler.network.load_state_dict(worn)
        return self._sampler


def _like(tensor: Tensor, draw: torch.Generator) -> Tensor:
    """Return noise of a tensor's shape and standard deviation."""
    spread = tensor.std() if tensor.numel() > 1 else 0.0
    return torch.randn(tensor.shape, generator=draw) * spread


def noises() -> list[float]:
    """Return the noise in the weights at each step of a run.

    >>> noises()[11:15]
    [0.0, 0.6, 0.65, 0.7]
    """
    growing = (round(FIRST_NOISE + MORE_NOISE * place, 3) for place in count())
    return list(islice(chain(repeat(0.0, SOUND), growing), MOST_STEPS))


def rehearse(
    feed: TrainingFeed,
    run_id: str,
    generator: Ailing,
    targets: Mapping[str, Sequence[float]],
    *,
    samples: int,
    report: Report,
) -> Rehearsed:
    """Publish step after step until the feedback says stop.

    Each step is published while the one before it is judged, as training goes on meanwhile.

    Args:
        feed: Entered already.
        run_id: The feed's.
        generator: What is sampled.
        targets: Enrolled people, each with the unit centroid of their references: 128 values.
        samples: How many a step publishes; they show everybody in turn.
        report: Told of every step.

    Raises:
        DependencyUnavailable: If Kafka does not answer, or nothing is said of a step for long.
    """
    names = list(islice(cycle(sorted(targets)), samples))
    centroids = np.asarray([targets[name] for name in names], dtype=np.float32)
    published = 0
    said: TrainingAdvised | None = None
    for place, noise in enumerate(noises()):
        step = (place + 1) * UPDATES
        pixels = _sampled(generator.at(noise), centroids, step)
        feed.publish(step, zip(names, map(encode_png, pixels), strict=True))
        published += 1
        report(f"step {step}: {samples} samples are published, noise {noise:g}")
        if place:
            said = _said(feed, step - UPDATES, samples)
            report(f"step {said.step}: {said.advice}: {said.reason}")
            if said.advice == "stop":
                break
    stopped = said.step if said is not None and said.advice == "stop" else None
    return Rehearsed(run_id, published, published * samples, stopped, said.best_step if said else None)


def _sampled(sampler: GanSampler, centroids: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.uint8]:
    seeds = [step + number for number in range(len(centroids))]
    return sampler.sample(seeds, centroids, np.zeros(len(centroids), dtype=np.float32))


def _said(feed: TrainingFeed, step: int, samples: int) -> TrainingAdvised:
    """Return what is said of a step once all its samples are judged."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while (said := feed.advised_at(step)) is None or said.samples < samples:
        if time.monotonic() > deadline:
            judged = 0 if said is None else said.samples
            detail = f"of step {step} {judged} of {samples} samples are judged after {PATIENCE_SECONDS:g} s"
            raise DependencyUnavailable("kafka", f"{detail}; run `likeness worker`, with the role monitor")
        time.sleep(_LOOK_SECONDS)
    return said
