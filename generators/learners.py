"""From a recipe to what it names: the faces, and the learner with the networks that it needs."""

from dataclasses import dataclass, replace
from pathlib import Path

import torch

from generators import checkpoint, data_sources, facenet, recipe
from generators.checkpoint import Meta
from generators.data import Faces
from generators.encoder_decoder import EncoderDecoder, EncoderDecoderSampler
from generators.families import FAMILIES
from generators.learning import Learner
from generators.recipe import Recipe
from generators.serve import Sampler
from streams.errors import BadInput, WeightsUnusable
from streams.settings import Settings
from streams.wheels import Report, silent


def faces_of(wanted: Recipe, settings: Settings, report: Report = silent, *, processes: int | None = None) -> Faces:
    """Return what a recipe learns from; blocks, for minutes where it has to be made, by so many processes.

    As many as the recipe has threads, where that is left out.

    Raises:
        BadInput, Unready, WeightsUnusable: As the sources say.
    """
    if wanted.photographs is not None:
        return data_sources.photographs(wanted.photographs, settings, report)
    return data_sources.synthetic(wanted.synthetic, settings, processes=processes or wanted.plan.threads, report=report)


def completed(wanted: Recipe) -> Recipe:
    """Return the recipe with the sizes of the decoder that it takes over, where its family has one inside.

    Raises:
        BadInput, WeightsUnusable: If there is no encoder-decoder where the recipe says so.
    """
    taught = _taught(wanted)
    if taught is None or not hasattr(wanted.model, "autoencoder"):
        return wanted
    return replace(wanted, model=replace(wanted.model, autoencoder=taught.config))


def learner_of(wanted: Recipe, settings: Settings, device: str = "cpu", report: Report = silent) -> Learner:
    """Return a new learner of the recipe's family.

    Raises:
        BadInput: If it needs a trained encoder-decoder and none is named, or one of other sizes.
        Unready, WeightsUnusable: If FaceNet or the encoder-decoder cannot be had.
    """
    family = FAMILIES[wanted.family]
    taught = _taught(wanted)
    if family.needs_taught and taught is None:
        raise BadInput(f"expected the run of a trained encoder-decoder for {family.name}, got none: --encoder-decoder")
    judge = None
    if getattr(wanted.model, "identity_loss_weight", 0) > 0:
        dtype = torch.bfloat16 if wanted.plan.half else torch.float32
        judge = facenet.load(settings, device, dtype, wanted.plan.identity_side, report)
    try:
        return family.learner(wanted.model, wanted.plan, judge, taught, device)
    except RuntimeError as error:
        raise BadInput(f"expected an encoder-decoder of the recipe's sizes, got one of others: {error}") from error


@dataclass(frozen=True)
class Trained:
    """A family as a run has taught it."""

    meta: Meta
    recipe: Recipe
    sampler: Sampler


def trained(folder: Path, device: str = "cpu") -> Trained:
    """Load a checkpoint: the one in the folder, or the last one of the run whose folder it is.

    Raises:
        WeightsUnusable: If there is none, or it is not what it says.
    """
    found = checkpoint.last(folder)
    meta = checkpoint.read_meta(found)
    if meta.family not in FAMILIES:
        raise WeightsUnusable(f"expected one of the families {', '.join(FAMILIES)} in {found}, got {meta.family!r}")
    family = FAMILIES[meta.family]
    try:
        told = recipe.parsed(meta.config, family)
        return Trained(meta, told, family.load(told.model, checkpoint.read_weights(found), device))
    except (BadInput, RuntimeError) as error:
        raise WeightsUnusable(f"expected the weights that {found} tells of, got others: {error}") from error


def _taught(wanted: Recipe) -> EncoderDecoder | None:
    if wanted.encoder_decoder is None:
        return None
    sampler = trained(wanted.encoder_decoder).sampler
    if not isinstance(sampler, EncoderDecoderSampler):
        raise BadInput(f"expected the run of an encoder-decoder in {wanted.encoder_decoder}, got another family's")
    return sampler.network
