"""The DCGAN (Radford et al., 2016, arXiv:1511.06434) whose published weights learned from DigiFace-1M: 64 x 64."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from generators import latent
from generators.latent import Floats
from streams.core.latent import anchor as draw_anchor
from streams.errors import WeightsUnusable


@dataclass(frozen=True)
class DcganConfig:
    """Sizes of the published network."""

    latent: int = 100
    """Values of z."""
    width: int = 64
    """Feature maps before the image."""
    channels: int = 3


class Generator(nn.Module):
    """Turns latent vectors into images.

    Fractionally strided convolutions without biases, batch normalisation and ReLU after each but the last (the paper's
    section 3). ``main`` is the name that the published tensors carry.
    """

    def __init__(self, config: DcganConfig) -> None:
        super().__init__()
        self.config = config
        w = config.width
        self.main = nn.Sequential(
            *_up(config.latent, 8 * w, stride=1, padding=0),  # (B, 8w, 4, 4)
            *_up(8 * w, 4 * w),  # (B, 4w, 8, 8)
            *_up(4 * w, 2 * w),  # (B, 2w, 16, 16)
            *_up(2 * w, w),  # (B, w, 32, 32)
            nn.ConvTranspose2d(w, config.channels, kernel_size=4, stride=2, padding=1, bias=False),
            nn.Tanh(),  # (B, channels, 64, 64)
        )

    def forward(self, z: Tensor) -> Tensor:
        """Return images (B, 3, 64, 64) in [-1, 1] of ``z`` (B, latent)."""
        return cast(Tensor, self.main(z[:, :, None, None]))


def _up(inputs: int, outputs: int, stride: int = 2, padding: int = 1) -> tuple[nn.Module, ...]:
    convolution = nn.ConvTranspose2d(inputs, outputs, 4, stride, padding, bias=False)
    return convolution, nn.BatchNorm2d(outputs), nn.ReLU(inplace=True)


class DigifaceDcgan:
    """The network ready to sample: in evaluation mode, on one device."""

    def __init__(self, network: Generator, device: str = "cpu") -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device

    @property
    def conditioning_length(self) -> int:
        """Values of an anchor."""
        return self.network.config.latent

    def sample(self, seeds: Sequence[int], conditioning: Floats, strength: Floats) -> npt.NDArray[np.uint8]:
        """Make one image a row; a row's image does not depend on its company (up to one level of 255).

        Args:
            seeds: One a sample, 0 and up.
            conditioning: Anchors z0, shape (B, latent).
            strength: How far to wander from the anchor, shape (B,), in [0, 1].

        Returns:
            RGB, shape (B, 64, 64, 3).
        """
        z = torch.from_numpy(latent.wander(conditioning, seeds, strength)).to(self.device)
        with torch.inference_mode():
            x = self.network(z)  # (B, 3, 64, 64)
            levels = ((x + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        images: npt.NDArray[np.uint8] = levels.permute(0, 2, 3, 1).contiguous().cpu().numpy()
        return images  # (B, 64, 64, 3)


def anchor(seed: int) -> tuple[float, ...]:
    """Draw a fresh anchor: a face that this network knows, the same for the same seed."""
    return draw_anchor(seed, DcganConfig().latent)


def load(tensors: Mapping[str, npt.NDArray[Any]], device: str = "cpu") -> DigifaceDcgan:
    """Build the network from its tensors; none may be missing, and none left over.

    Raises:
        WeightsUnusable: If they are not this network's tensors.
    """
    network = Generator(DcganConfig())
    try:
        network.load_state_dict({name: torch.tensor(tensor) for name, tensor in tensors.items()}, strict=True)
    except RuntimeError as error:
        raise WeightsUnusable(f"expected the tensors of the DCGAN, got others: {error}") from error
    return DigifaceDcgan(network, device)
