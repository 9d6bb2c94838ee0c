"""What the families' networks are built of: convolutions that an identity steers."""

import itertools
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

#: Values of a FaceNet embedding, the condition of every family.
IDENTITY = 128


@dataclass(frozen=True)
class Shown:
    """Images, and whom they show or should show."""

    images: Tensor
    """(B, 3, 64, 64) in [-1, 1]."""
    identity: Tensor
    """(B, 128), unit length."""


class Film(nn.Module):
    """Feature-wise linear modulation (Perez et al., 2018, arXiv:1709.07871, eq. 2) of group-normalised features.

    gamma and beta come from the condition; gamma is 1 + what the layer gives, so that a new network passes things on.
    """

    def __init__(self, channels: int, condition: int, group: int = 16) -> None:
        super().__init__()
        self.norm = nn.GroupNorm(max(1, channels // group), channels, affine=False)
        self.modulation = nn.Linear(condition, 2 * channels)
        nn.init.normal_(self.modulation.weight, std=0.02)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return gamma * norm(features) + beta; features (B, C, H, W), condition (B, condition)."""
        gamma, beta = self.modulation(condition)[:, :, None, None].chunk(2, dim=1)  # (B, C, 1, 1) each
        return torch.addcmul(beta, self.norm(features), 1 + gamma)


class Up(nn.Module):
    """Doubles height and width, steered by a condition."""

    def __init__(self, inputs: int, outputs: int, condition: int) -> None:
        super().__init__()
        self.up = nn.ConvTranspose2d(inputs, outputs, kernel_size=4, stride=2, padding=1)
        self.first = Film(outputs, condition)
        self.convolution = nn.Conv2d(outputs, outputs, kernel_size=3, padding=1)
        self.second = Film(outputs, condition)

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return (B, outputs, 2H, 2W) of features (B, inputs, H, W)."""
        h = functional.silu(self.first(self.up(features), condition))
        return h + functional.silu(self.second(self.convolution(h), condition))


class Down(nn.Module):
    """Halves height and width."""

    def __init__(self, inputs: int, outputs: int, *, normalised: bool = True) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel_size=4, stride=2, padding=1)
        self.norm = nn.GroupNorm(max(1, outputs // 16), outputs) if normalised else nn.Identity()

    def forward(self, features: Tensor) -> Tensor:
        """Return (B, outputs, H / 2, W / 2) of features (B, inputs, H, W)."""
        return functional.leaky_relu(self.norm(self.convolution(features)), 0.2)


class Synthesis(nn.Module):
    """From 4 x 4 features and a condition to an image: what makes the pixels of every family."""

    def __init__(self, widths: tuple[int, ...], condition: int) -> None:
        """Take the feature maps at 4, 8, 16, … pixels, and the length of the condition."""
        super().__init__()
        self.blocks = nn.ModuleList(Up(inputs, outputs, condition) for inputs, outputs in itertools.pairwise(widths))
        # Four pixels at once from each place of the largest features (Shi et al., 2016, arXiv:1609.05158, eq. 4): half
        # the time of another block, whose features would be the largest of all.
        self.pixels = nn.Sequential(nn.Conv2d(widths[-1], 12, kernel_size=3, padding=1), nn.PixelShuffle(2))

    def forward(self, features: Tensor, condition: Tensor) -> Tensor:
        """Return images (B, 3, S, S) in [-1, 1] of features (B, widths[0], 4, 4); S = 4 * 2 ** len(widths)."""
        for block in self.blocks:
            features = block(features, condition)
        # Four pixels that were made apart differ apart: without this a check pattern lies over every image.
        return torch.tanh(softened(self.pixels(features)))


def softened(images: Tensor) -> Tensor:
    """Blur by (1, 2, 1) / 4 in both directions: what changes from each pixel to the next is gone."""
    padded = functional.pad(images, (1, 1, 1, 1), mode="replicate")
    across = (padded[..., :-2] + 2 * padded[..., 1:-1] + padded[..., 2:]) / 4
    return (across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]) / 4


class Identity(nn.Module):
    """Turns a unit embedding into the condition of the layers above."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.Sequential(nn.Linear(IDENTITY, width), nn.SiLU(), nn.Linear(width, width), nn.SiLU())

    def forward(self, identity: Tensor) -> Tensor:
        """Return (B, width) of unit vectors (B, 128)."""
        # A unit vector of 128 values has values of about 0.09: too small for a layer that expects 1.
        return cast(Tensor, self.net(identity * IDENTITY**0.5))
