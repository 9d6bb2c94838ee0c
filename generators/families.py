"""The families that are trained here, each by its name: how it learns, and how it is loaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from generators import diffusion, encoder_decoder, gan
from generators.encoder_decoder import EncoderDecoder
from generators.facenet import FaceNet
from generators.learning import Learner, Plan
from generators.serve import Sampler


@dataclass(frozen=True)
class Family:
    """One way to make faces."""

    name: str
    config: type[Any]
    """The frozen dataclass of its sizes and weights."""
    learner: Callable[[Any, Plan, FaceNet | None, EncoderDecoder | None, str], Learner]
    """Takes the configuration, the plan, FaceNet if it is a loss, a trained encoder-decoder, and the device."""
    load: Callable[[Any, Mapping[str, Tensor], str], Sampler]
    needs_taught: bool = False
    """Whether it cannot do without a trained encoder-decoder; the others may begin with its weights."""


def _diffusion(
    config: diffusion.DiffusionConfig,
    plan: Plan,
    facenet: FaceNet | None,
    taught: EncoderDecoder | None,
    device: str,
) -> Learner:
    if taught is None:
        raise ValueError("expected a trained encoder-decoder, got none")
    return diffusion.DiffusionLearner(config, plan, taught, device)


FAMILIES = {
    family.name: family
    for family in (
        Family(
            "encoder_decoder",
            encoder_decoder.EncoderDecoderConfig,
            encoder_decoder.EncoderDecoderLearner,
            encoder_decoder.load,
        ),
        Family("gan", gan.GanConfig, gan.GanLearner, gan.load),
        Family("diffusion", diffusion.DiffusionConfig, _diffusion, diffusion.load, needs_taught=True),
    )
}
