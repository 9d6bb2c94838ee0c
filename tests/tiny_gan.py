"""A GAN so small that it is trained in no time, for tests of what is done with a trained one."""

from pathlib import Path

import torch

from generators import checkpoint
from generators.families import FAMILIES
from generators.learners import learner_of
from generators.recipe import parsed
from generators.train import train
from streams.settings import Settings
from tests.blobs import blobs

_SIZES = {
    "latent": 32,
    "generator": [8] * 4,
    "adversary": {"widths": [8] * 4},
    "condition": 16,
    "identity_loss_weight": 0,
}


def tiny_gan(run: Path) -> Path:
    """Train it for one update in the folder of a run; return its checkpoint's folder."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    of = parsed({"model": _SIZES, "plan": {"steps": 1, "batch": 4, "half": False}}, FAMILIES["gan"])
    train(learner_of(of, Settings()), of, blobs(), run)
    torch.set_num_threads(threads)
    return checkpoint.last(run)
