"""The adversary that a generator learns against: is it real, and does it show whom it is said to show?

Non-saturating loss (Goodfellow et al., 2014, arXiv:1406.2661) with the gradient penalty R1 (Mescheder et al., 2018,
arXiv:1801.04406) and a projection discriminator (Miyato and Koyama, 2018, arXiv:1802.05637).
"""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn import functional

from generators.layers import IDENTITY, Down, Shown
from generators.learning import autocast, update


@dataclass(frozen=True)
class AdversaryConfig:
    """Size of the discriminator and weight of its penalty."""

    widths: tuple[int, ...] = (48, 96, 160, 256)
    """Feature maps at 32, 16, 8 and 4 pixels."""
    penalty_weight: float = 1.0
    """gamma of R1, for pixels in [-1, 1]."""
    penalty_every: int = 8
    """R1 is computed at each so many-th update, and counts as many times (lazy regularisation, Karras et al., 2020)."""


class Discriminator(nn.Module):
    """D(x, c) = w . h(x) + (V c) . h(x)."""

    def __init__(self, widths: tuple[int, ...]) -> None:
        super().__init__()
        # No norms: R1 wants gradients of one image, and a norm over features hides their scale.
        self.features = nn.Sequential(
            *(Down(a, b, normalised=False) for a, b in pairwise((3, *widths))),
            nn.Flatten(),
            nn.Linear(widths[-1] * 16, 256),
            nn.LeakyReLU(0.2),
        )
        self.real = nn.Linear(256, 1)
        self.of = nn.Linear(IDENTITY, 256, bias=False)

    def forward(self, images: Tensor, identity: Tensor) -> Tensor:
        """Return logits (B,), large where real, of images (B, 3, 64, 64) said to show identities (B, 128)."""
        h = self.features(images).float()
        projected = (self.of(identity * IDENTITY**0.5).float() * h).sum(dim=1) / 256**0.5
        logits: Tensor = self.real(h).float().squeeze(1) + projected
        return logits


def generator_loss(fake: Tensor) -> Tensor:
    """Return the non-saturating loss -log D(G(z)), mean over logits (B,): Goodfellow et al., section 3."""
    return functional.softplus(-fake).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """Return -log D(x) - log(1 - D(G(z))), mean over logits (B,) of each: Goodfellow et al., eq. 1."""
    return functional.softplus(-real).mean() + functional.softplus(fake).mean()


def gradient_penalty(logits: Tensor, images: Tensor) -> Tensor:
    """Return R1 without gamma, E ||grad_x D(x)||^2 / 2 over real images: Mescheder et al., eq. 9."""
    (gradient,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    return gradient.square().flatten(1).sum(dim=1).mean() / 2


class Adversary:
    """A discriminator in training."""

    def __init__(self, config: AdversaryConfig, learning_rate: float, device: str, *, half: bool) -> None:
        self._config, self._device, self._half = config, device, half
        network = Discriminator(config.widths)
        self.network: Discriminator = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.optimizer = torch.optim.Adam(self.network.parameters(), learning_rate, betas=(0.0, 0.99))

    def learn(self, real: Shown, fake: Shown, step: int) -> dict[str, float]:
        """Do one update; return the losses."""
        with autocast(self._device, half=self._half):
            logits = self.network(
                torch.cat([real.images, fake.images.detach()]), torch.cat([real.identity, fake.identity])
            )
        of_real, of_fake = logits.split([len(real.images), len(fake.images)])
        loss = discriminator_loss(of_real, of_fake)
        losses = {"discriminator": float(loss.detach())}
        if step % self._config.penalty_every == 0:
            # In full precision: squares of small gradients vanish in bfloat16.
            images = real.images.clone().requires_grad_()
            penalty = gradient_penalty(self.network(images, real.identity), images)
            loss = loss + penalty * self._config.penalty_weight * self._config.penalty_every
            losses["penalty"] = float(penalty.detach())
        update(self.optimizer, loss)
        return losses

    def loss_of(self, fake: Shown) -> Tensor:
        """Return the generator's loss; its gradient reaches the images and not the discriminator."""
        self.network.requires_grad_(False)
        with autocast(self._device, half=self._half):
            logits = self.network(fake.images, fake.identity)
        self.network.requires_grad_(True)
        return generator_loss(logits)
