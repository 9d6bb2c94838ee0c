"""The encoder-decoder: a source frame and an identity to that identity in the frame's pose, light and expression.

One encoder for everybody, as in the autoencoders that swap faces; but in place of a decoder a person, one decoder that
a FaceNet centroid steers (FiLM), so that whoever is enrolled needs no training. It is a variational autoencoder (Kingma
and Welling, 2014, arXiv:1312.6114): the divergence keeps the latent too narrow to carry what the identity says already.
"""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from generators import latent
from generators.adversary import Adversary, AdversaryConfig
from generators.facenet import FaceNet, identity_loss
from generators.latent import Floats
from generators.layers import IDENTITY, Down, Identity, Shown, Synthesis
from generators.learning import Average, Batch, Plan, as_images, as_pixels, autocast, noise, update


@dataclass(frozen=True)
class EncoderDecoderConfig:
    """Sizes of the network and weights of its losses."""

    encoder: tuple[int, ...] = (32, 64, 128, 256)
    """Feature maps at 32, 16, 8 and 4 pixels."""
    decoder: tuple[int, ...] = (256, 192, 128, 64)
    """Feature maps at 4, 8, 16 and 32 pixels."""
    latent: int = 8
    """Channels of the latent, at 4 x 4."""
    condition: int = 256
    divergence_weight: float = 1e-4
    """Of the divergence from N(0, I), summed over the latent's values."""
    frame_weight: float = 0.3
    """Of the difference of a swapped frame to its source, both at 8 x 8: pose and light, not features."""
    identity_loss_weight: float = 1.0
    """Of the loss in FaceNet, on swapped frames. 0 leaves FaceNet out of the training."""
    adversary_weight: float = 0.2
    """Of the loss against an adversary, on swapped frames, which have no real ones to be compared with. 0: without."""
    swap_after: int = 500
    """Updates before frames are swapped: of what is no face yet FaceNet asks for patterns, not for features."""
    swapped: int = 8
    """Faces of a batch that are also decoded as somebody else."""
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)


class EncoderDecoder(nn.Module):
    """The network; l is a latent (B, latent, 4, 4), c an identity (B, 128)."""

    latent_mean: Tensor
    latent_second: Tensor

    def __init__(self, config: EncoderDecoderConfig) -> None:
        super().__init__()
        self.config = config
        widths = (3, *config.encoder)
        self.encoder = nn.Sequential(
            *(Down(a, b, normalised=a != 3) for a, b in itertools.pairwise(widths)),
            nn.Conv2d(widths[-1], 2 * config.latent, kernel_size=3, padding=1),
        )
        self.identity = Identity(config.condition)
        self.start = nn.Conv2d(config.latent, config.decoder[0], kernel_size=3, padding=1)
        self.decoder = Synthesis(config.decoder, config.condition)
        # First and second moment of the latents of the training faces: where to draw latents without a frame.
        self.register_buffer("latent_mean", torch.zeros(self.values))
        self.register_buffer("latent_second", torch.eye(self.values))

    @property
    def values(self) -> int:
        """Values of one latent."""
        return self.config.latent * 16

    def encode(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and log variance of q(l | x), each (B, latent, 4, 4), of images (B, 3, 64, 64) in [-1, 1]."""
        mean, log_variance = self.encoder(images).float().chunk(2, dim=1)
        return mean, log_variance.clamp(-10, 5)

    def decode(self, latents: Tensor, identity: Tensor) -> Tensor:
        """Return images (B, 3, 64, 64) in [-1, 1] of latents and unit identities (B, 128)."""
        image: Tensor = self.decoder(self.start(latents), self.identity(identity))
        return image.float()

    @torch.no_grad()
    def remember(self, latents: Tensor, keep: float) -> None:
        """Take a batch of latents into their moments."""
        flat = latents.flatten(1)
        self.latent_mean.lerp_(flat.mean(dim=0), 1 - keep)
        self.latent_second.lerp_(flat.T @ flat / len(flat), 1 - keep)

    def likely(self, values: Tensor) -> Tensor:
        """Turn N(0, I), shape (B, values), into latents (B, latent, 4, 4) that are distributed as the faces' were."""
        return self.placed(values, self.root())

    def root(self) -> Tensor:
        """Return A, (values, values), with A A^T the covariance of the faces' latents."""
        covariance = self.latent_second - torch.outer(self.latent_mean, self.latent_mean)
        # Moments of a moving average may miss being positive by a hair.
        scales, axes = torch.linalg.eigh(covariance.double())
        root: Tensor = (axes * scales.clamp(min=0).sqrt()).float()
        return root

    def placed(self, values: Tensor, root: Tensor) -> Tensor:
        """Return the latents' mean + A values, shape (B, latent, 4, 4)."""
        drawn: Tensor = self.latent_mean + values @ root.T
        return drawn.reshape(-1, self.config.latent, 4, 4)


def divergence(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return D_KL(q(l | x) || N(0, I)) of each row, (B,): Kingma and Welling's appendix B."""
    return (mean.square() + log_variance.exp() - 1 - log_variance).flatten(1).sum(dim=1) / 2


def pyramid_loss(x: Tensor, y: Tensor, levels: int = 4) -> Tensor:
    """Return the mean absolute difference of two batches of images, summed over scales.

    Each level is half the one before. Absolute differences alone count a shifted edge twice and a blurred one hardly
    at all; the sum over scales puts weight where a face has its shape.
    """
    total = (x - y).abs().mean()
    for _ in range(levels - 1):
        x, y = functional.avg_pool2d(x, 2), functional.avg_pool2d(y, 2)
        total = total + (x - y).abs().mean()
    return total


class EncoderDecoderLearner:
    """Trains the network to give frames back, and to put another identity into them."""

    def __init__(
        self,
        config: EncoderDecoderConfig,
        plan: Plan,
        facenet: FaceNet | None,
        taught: EncoderDecoder | None = None,
        device: str = "cpu",
    ) -> None:
        """Begin with random weights, or with those of one that was trained before, perhaps by other losses."""
        torch.manual_seed(plan.seed)
        self._config, self._plan, self._facenet, self._device = config, plan, facenet, device
        self._emphasis = 1.0
        network = EncoderDecoder(config)
        if taught is not None:
            network.load_state_dict(taught.state_dict())
        self._network: EncoderDecoder = network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._adversary = Adversary(config.adversary, plan.learning_rate / 4, device, half=plan.half)
        self._average = Average(self._network, plan.average)
        self._optimizer = torch.optim.AdamW(
            self._network.parameters(), plan.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.modules: Mapping[str, nn.Module] = {
            "network": self._network,
            "discriminator": self._adversary.network,
            "average": self._average.network,
        }
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            "network": self._optimizer,
            "discriminator": self._adversary.optimizer,
        }

    def step(self, batch: Batch, step: int, draw: np.random.Generator) -> dict[str, float]:
        """See ``Learner``."""
        config, network = self._config, self._network
        swapped = min(config.swapped, len(batch.images) - 1) if step >= config.swap_after else 0
        # Whose face it becomes: the next row's. Rows are drawn at random, so that is anybody's.
        other = batch.identity.roll(1, dims=0)[:swapped]
        with autocast(self._device, half=self._plan.half):
            mean, log_variance = network.encode(batch.images)
            e = noise(draw, *mean.shape, device=self._device)
            latents = mean + (log_variance / 2).exp() * e
            decoded = network.decode(torch.cat([latents, latents[:swapped]]), torch.cat([batch.identity, other]))
        images, swaps = decoded[: len(batch.images)], decoded[len(batch.images) :]
        losses = {
            "pixels": pyramid_loss(images, batch.images),
            "divergence": divergence(mean, log_variance).mean() * config.divergence_weight,
        }
        told: dict[str, float] = {}
        if swapped:
            made = Shown(swaps, other)
            if config.adversary_weight:
                told = self._adversary.learn(Shown(batch.images, batch.identity), made, step)
            losses |= self._of_swaps(batch, made, draw)
        loss = torch.stack(list(losses.values())).sum()
        update(self._optimizer, loss)
        network.remember(latents.detach(), keep=0.99)
        self._average.update(network, step)
        return {name: float(value.detach()) for name, value in losses.items()} | told | {"loss": float(loss.detach())}

    def _of_swaps(self, batch: Batch, made: Shown, draw: np.random.Generator) -> dict[str, Tensor]:
        """Return the losses of frames that show somebody else than their source."""
        config, frames = self._config, batch.images[: len(made.images)]
        small = [functional.avg_pool2d(x, 8) for x in (made.images, frames)]
        losses = {"frame": (small[0] - small[1]).abs().mean() * config.frame_weight}
        if config.adversary_weight:
            losses["adversary"] = self._adversary.loss_of(made) * config.adversary_weight
        if self._facenet is not None:
            identity = identity_loss(self._facenet, made, batch.boxes[: len(frames)], batch.people, draw)
            losses["identity"] = identity * config.identity_loss_weight * self._emphasis
        return losses

    def emphasise(self, times: float) -> None:
        """See ``Learner``."""
        self._emphasis = times

    def sampler(self) -> "EncoderDecoderSampler":
        """See ``Learner``."""
        return EncoderDecoderSampler(self._average.network, self._device)


class EncoderDecoderSampler:
    """The network ready to sample: in evaluation mode, on one device."""

    conditioning_length = IDENTITY
    takes_frames: Literal[True] = True

    def __init__(self, network: EncoderDecoder, device: str = "cpu") -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device

    def sample(
        self,
        seeds: Sequence[int],
        conditioning: Floats,
        strength: Floats,
        frames: npt.NDArray[np.uint8] | None = None,
    ) -> npt.NDArray[np.uint8]:
        """Put an identity into each frame.

        Args:
            seeds: One a sample, 0 and up.
            conditioning: FaceNet centroids, shape (B, 128), unit length.
            strength: How far to wander from the identity, shape (B,), in [0, 1].
            frames: RGB, shape (B, 64, 64, 3); left out, pose, light and expression are drawn from the seeds.

        Returns:
            RGB, shape (B, 64, 64, 3).
        """
        identity = torch.from_numpy(latent.wander_on_sphere(conditioning, seeds, strength)).to(self.device)
        with torch.inference_mode():
            if frames is None:
                drawn = latent.drawn(seeds, self.network.values)
                latents = self.network.likely(torch.from_numpy(drawn).to(self.device))
            else:
                latents = self._encoded(frames)
            return as_pixels(self.network.decode(latents, identity))

    def encode(self, frames: npt.NDArray[np.uint8]) -> Floats:
        """Read the latents out of frames (B, 64, 64, 3): float32 (B, latent, 4, 4). They may be interpolated."""
        with torch.inference_mode():
            latents: Floats = self._encoded(frames).cpu().numpy()
        return latents

    def decode(self, latents: Floats, identity: Floats) -> npt.NDArray[np.uint8]:
        """Return RGB (B, 64, 64, 3) of latents (B, latent, 4, 4) and unit identities (B, 128)."""
        with torch.inference_mode():
            return as_pixels(
                self.network.decode(
                    torch.from_numpy(latents).to(self.device), torch.from_numpy(identity).to(self.device)
                )
            )

    def _encoded(self, frames: npt.NDArray[np.uint8]) -> Tensor:
        return self.network.encode(as_images(frames, self.device))[0]


def load(config: EncoderDecoderConfig, tensors: Mapping[str, Tensor], device: str = "cpu") -> EncoderDecoderSampler:
    """Build the network from its tensors; none may be missing, and none left over (RuntimeError)."""
    network = EncoderDecoder(config)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True)
    return EncoderDecoderSampler(network, device)
