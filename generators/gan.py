"""The identity-conditional GAN (Goodfellow et al., 2014, arXiv:1406.2661): noise and an identity to a face.

Non-saturating loss with the gradient penalty R1 (Mescheder et al., 2018, arXiv:1801.04406), a projection discriminator
(Miyato and Koyama, 2018, arXiv:1802.05637), and an average of the generator's weights to sample from (Yazici et al.,
2019, arXiv:1806.04498).
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from generators import latent
from generators.encoder_decoder import EncoderDecoder
from generators.facenet import FaceNet, identity_loss
from generators.latent import Floats
from generators.layers import IDENTITY, Down, Identity, Synthesis
from generators.learning import Average, Batch, Plan, as_pixels, autocast, noise, update
from streams.errors import BadInput


@dataclass(frozen=True)
class GanConfig:
    """Sizes of the networks and weights of their losses."""

    latent: int = 128
    """Values of z: pose, light, expression and everything else that is not the identity."""
    generator: tuple[int, ...] = (256, 192, 128, 64)
    """Feature maps at 4, 8, 16 and 32 pixels."""
    discriminator: tuple[int, ...] = (48, 96, 160, 256)
    """Feature maps at 32, 16, 8 and 4 pixels."""
    condition: int = 256
    penalty_weight: float = 1.0
    """gamma of R1, for pixels in [-1, 1]."""
    penalty_every: int = 8
    """R1 is computed at each so many-th update, and counts as many times (lazy regularisation, Karras et al., 2020)."""
    discriminator_first: int = 0
    """Updates of the discriminator alone: it must know faces before a generator that makes some should follow it."""
    identity_loss_weight: float = 0.5
    """Of 1 - cosine in FaceNet, on faces that are made. 0 leaves FaceNet out of the training."""
    identity_faces: int = 8
    """Faces of a batch that FaceNet is shown."""


class Generator(nn.Module):
    """G(z, c)."""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        self.config = config
        self.identity = Identity(config.condition)
        self.start = nn.Linear(config.latent, config.generator[0] * 16)
        self.synthesis = Synthesis(config.generator, config.condition)

    def forward(self, z: Tensor, identity: Tensor) -> Tensor:
        """Return images (B, 3, 64, 64) in [-1, 1] of z (B, latent) and unit identities (B, 128)."""
        features = self.start(z).unflatten(1, (-1, 4, 4)).contiguous(memory_format=torch.channels_last)
        image: Tensor = self.synthesis(features, self.identity(identity))
        return image.float()

    @torch.no_grad()
    def begin_as(self, taught: EncoderDecoder) -> None:
        """Take over the decoder of an encoder-decoder: G(z, c) is then what it makes of a latent drawn without a frame.

        From z to the latent and on to the first features, all is linear: one layer says the same.

        Raises:
            BadInput: If its sizes are others.
        """
        try:
            self.identity.load_state_dict(taught.identity.state_dict())
            self.synthesis.load_state_dict(taught.decoder.state_dict())
            nothing = torch.zeros(1, self.config.latent)
            unit = torch.eye(self.config.latent)
            offset = taught.start(taught.likely(nothing)).flatten(1)  # (1, 16 * widths[0])
            self.start.weight.copy_((taught.start(taught.likely(unit)).flatten(1) - offset).T)
            self.start.bias.copy_(offset[0])
        except RuntimeError as error:
            raise BadInput(f"expected an encoder-decoder of the GAN's sizes to begin as, got {error}") from error


class Discriminator(nn.Module):
    """D(x, c) = w . h(x) + (V c) . h(x): is it real, and is it this identity?"""

    def __init__(self, config: GanConfig) -> None:
        super().__init__()
        widths = (3, *config.discriminator)
        # No norms: R1 wants gradients of one image, and a norm over features hides their scale.
        self.features = nn.Sequential(
            *(Down(a, b, normalised=False) for a, b in itertools.pairwise(widths)),
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


class GanLearner:
    """Trains generator and discriminator in turn."""

    def __init__(
        self,
        config: GanConfig,
        plan: Plan,
        facenet: FaceNet | None,
        taught: EncoderDecoder | None = None,
        device: str = "cpu",
    ) -> None:
        """Begin with random weights, or with the decoder of a trained encoder-decoder."""
        torch.manual_seed(plan.seed)
        self._config, self._plan, self._facenet, self._device = config, plan, facenet, device
        generator = Generator(config)
        if taught is not None:
            generator.begin_as(taught)
        self._generator = generator.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._discriminator = Discriminator(config).to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._average = Average(self._generator, plan.average)
        betas = (0.0, 0.99)
        self._of_generator = torch.optim.Adam(self._generator.parameters(), plan.learning_rate, betas)
        self._of_discriminator = torch.optim.Adam(self._discriminator.parameters(), plan.learning_rate, betas)
        self.modules: Mapping[str, nn.Module] = {
            "generator": self._generator,
            "discriminator": self._discriminator,
            "average": self._average.network,
        }
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            "generator": self._of_generator,
            "discriminator": self._of_discriminator,
        }

    def step(self, batch: Batch, step: int, draw: np.random.Generator) -> dict[str, float]:
        """See ``Learner``."""
        z = noise(draw, len(batch.images), self._config.latent, device=self._device)
        with autocast(self._device, half=self._plan.half):
            fake = self._generator(z, batch.identity)
        losses = self._update_discriminator(batch, fake.detach(), step)
        if step >= self._config.discriminator_first:
            losses |= self._update_generator(batch, fake, draw)
            self._average.update(self._generator, step)
        return losses

    def _update_discriminator(self, batch: Batch, fake: Tensor, step: int) -> dict[str, float]:
        with autocast(self._device, half=self._plan.half):
            logits = self._discriminator(torch.cat([batch.images, fake]), batch.identity.repeat(2, 1))
        real, made = logits.chunk(2)
        loss = discriminator_loss(real, made)
        losses = {"discriminator": float(loss.detach()), "real": float(real.detach().mean())}
        if step % self._config.penalty_every == 0:
            # In full precision: squares of small gradients vanish in bfloat16.
            images = batch.images.clone().requires_grad_()
            penalty = gradient_penalty(self._discriminator(images, batch.identity), images)
            loss = loss + penalty * self._config.penalty_weight * self._config.penalty_every
            losses["penalty"] = float(penalty.detach())
        update(self._of_discriminator, loss)
        return losses

    def _update_generator(self, batch: Batch, fake: Tensor, draw: np.random.Generator) -> dict[str, float]:
        self._discriminator.requires_grad_(False)
        with autocast(self._device, half=self._plan.half):
            logits = self._discriminator(fake, batch.identity)
        self._discriminator.requires_grad_(True)
        loss = generator_loss(logits)
        losses = {"generator": float(loss.detach())}
        if self._facenet is not None:
            shown = self._config.identity_faces
            # Where the face of the real image was: nobody knows where the new one is, and they differ by little.
            wanted = batch.identity[:shown]
            identity = identity_loss(self._facenet, fake[:shown], batch.boxes[:shown], wanted, draw)
            identity = identity * self._config.identity_loss_weight
            losses["identity"] = float(identity.detach())
            loss = loss + identity
        update(self._of_generator, loss)
        return losses | {"loss": float(loss.detach())}

    def sampler(self) -> "GanSampler":
        """See ``Learner``."""
        return GanSampler(self._average.network, self._device)


class GanSampler:
    """The generator ready to sample: in evaluation mode, on one device."""

    conditioning_length = IDENTITY

    def __init__(self, network: Generator, device: str = "cpu") -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device

    def sample(self, seeds: Sequence[int], conditioning: Floats, strength: Floats) -> npt.NDArray[np.uint8]:
        """Make one face a row.

        Args:
            seeds: One a sample, 0 and up.
            conditioning: FaceNet centroids, shape (B, 128), unit length.
            strength: How far to wander from the identity, shape (B,), in [0, 1].

        Returns:
            RGB, shape (B, 64, 64, 3).
        """
        identity = torch.from_numpy(latent.wander_on_sphere(conditioning, seeds, strength)).to(self.device)
        z = torch.from_numpy(latent.drawn(seeds, self.network.config.latent)).to(self.device)
        with torch.inference_mode():
            return as_pixels(self.network(z, identity))


def load(config: GanConfig, tensors: Mapping[str, Tensor], device: str = "cpu") -> GanSampler:
    """Build the generator from its tensors; none may be missing, and none left over (RuntimeError)."""
    network = Generator(config)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True)
    return GanSampler(network, device)
