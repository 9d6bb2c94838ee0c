"""A training run that breaks on purpose: sound checkpoints first, then ones whose weights take on more and more noise.

To the road it is a run like any other: it publishes the samples of its steps, reads the feedback and obeys it. So it
shows within a minute what becomes of a run that goes wrong, without the hours in which it would.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, count, cycle, islice, repeat

import numpy as np
import numpy.typing as npt
import torch

from generators.digiface_dcgan import DigifaceDcgan
from streams.adapters.images.decode import encode_png
from streams.client.training import TrainingFeed
from streams.errors import DependencyUnavailable
from streams.events import TrainingAdvised
from streams.wheels import Report

#: The model whose network is used, and how far its samples wander from their anchors.
MODEL = "face_gan"
STRENGTH = 0.25
#: Updates between two steps, as a run counts them.
UPDATES = 1000
#: The sound steps: enough for a calibration, and some that are then charted in control.
SOUND = 12
#: The noise of the steps after them, in standard deviations of each layer: first what no eye sees, then what all do.
FIRST_NOISE, MORE_NOISE = 0.05, 0.05
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
    """A trained generator that breaks by degrees, always the same way: the noise grows, and does not change."""

    def __init__(self, sampler: DigifaceDcgan) -> None:
        """Take it over: what it samples from now on is what ``at`` says."""
        self._sampler = sampler
        self._sound = {name: tensor.clone() for name, tensor in sampler.network.state_dict().items()}
        draw = torch.Generator().manual_seed(0)
        # Of the convolutions alone: whoever spoils the variance of a normalisation has no picture at all.
        self._noise = {
            name: torch.randn(tensor.shape, generator=draw) * tensor.std()
            for name, tensor in self._sound.items()
            if tensor.dim() == 4
        }

    def at(self, noise: float) -> DigifaceDcgan:
        """Return it with so much noise in its weights, in standard deviations of each layer; 0 is sound."""
        worn = {name: self._sound[name] + noise * drawn for name, drawn in self._noise.items()}
        self._sampler.network.load_state_dict({**self._sound, **worn})
        return self._sampler


def noises() -> list[float]:
    """Return the noise in the weights at each step of a run.

    >>> noises()[11:15]
    [0.0, 0.05, 0.1, 0.15]
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
        targets: Enrolled people, each with their anchor in the generator's latent space: 100 values.
        samples: How many a step publishes; they show everybody in turn.
        report: Told of every step.

    Raises:
        DependencyUnavailable: If Kafka does not answer, or nothing is said of a step for long.
    """
    names = list(islice(cycle(sorted(targets)), samples))
    anchors = np.asarray([targets[name] for name in names], dtype=np.float32)
    published = 0
    said: TrainingAdvised | None = None
    for place, noise in enumerate(noises()):
        step = (place + 1) * UPDATES
        pixels = _sampled(generator.at(noise), anchors, step)
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


def _sampled(sampler: DigifaceDcgan, anchors: npt.NDArray[np.float32], step: int) -> npt.NDArray[np.uint8]:
    seeds = [step + number for number in range(len(anchors))]
    return sampler.sample(seeds, anchors, np.full(len(anchors), STRENGTH, dtype=np.float32))


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
