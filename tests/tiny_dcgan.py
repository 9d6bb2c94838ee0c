"""A DCGAN that is small and untrained, for tests of what is done with a trained one."""

import torch

from generators.digiface_dcgan import DcganConfig, DigifaceDcgan, Generator


def tiny_dcgan() -> DigifaceDcgan:
    """Return it, the same every time."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return DigifaceDcgan(Generator(DcganConfig(width=4)))
