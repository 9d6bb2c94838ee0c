"""The identity-conditional GAN (Goodfellow et al., 2014, arXiv:1406.2661): noise and an identity to a face.

The losses are the adversary's; what is sampled from is an average of the generator's weights (Yazici et al., 2019,
arXiv:1806.04498).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from generators import latent
from generators.adversary import Adversary, AdversaryConfig
from generators.encoder_decoder import EncoderDecoder
from generators.facenet import FaceNet, identity_loss
from generators.latent import Floats
from generators.layers import IDENTITY, Identity, Shown, Synthesis
from generators.learning import Average, Batch, Plan, as_pixels, autocast, noise, update
from streams.errors import BadInput


@dataclass(frozen=True)
class GanConfig:
    """Sizes of the networks and weights of their losses."""

    latent: int = 128
    """Values of z: pose, light, expression and everything else that is not the identity."""
    generator: tuple[int, ...] = (256, 192, 128, 64)
    """Feature maps at 4, 8, 16 and 32 pixels."""
    condition: int = 256
    adversary: AdversaryConfig = field(default_factory=AdversaryConfig)
    discriminator_first: int = 0
    """Updates of the discriminator alone: it must know faces before a generator that makes some should follow it."""
    identity_loss_weight: float = 1.0
    """Of the loss in FaceNet, on faces that are made. 0 leaves FaceNet out of the training."""
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
        self._emphasis = 1.0
        generator = Generator(config)
        if taught is not None:
            generator.begin_as(taught)
        self._generator = generator.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._adversary = Adversary(config.adversary, plan.learning_rate, device, half=plan.half)
        self._average = Average(self._generator, plan.average)
        self._optimizer = torch.optim.Adam(self._generator.parameters(), plan.learning_rate, betas=(0.0, 0.99))
        self.modules: Mapping[str, nn.Module] = {
            "generator": self._generator,
            "discriminator": self._adversary.network,
            "average": self._average.network,
        }
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {
            "generator": self._optimizer,
            "discriminator": self._adversary.optimizer,
        }

    def step(self, batch: Batch, step: int, draw: np.random.Generator) -> dict[str, float]:
        """See ``Learner``."""
        z = noise(draw, len(batch.images), self._config.latent, device=self._device)
        with autocast(self._device, half=self._plan.half):
            fake = self._generator(z, batch.identity)
        made = Shown(fake, batch.identity)
        losses = self._adversary.learn(Shown(batch.images, batch.identity), made, step)
        if step >= self._config.discriminator_first:
            losses |= self._follow(batch, made, draw)
            self._average.update(self._generator, step)
        return losses

    def _follow(self, batch: Batch, made: Shown, draw: np.random.Generator) -> dict[str, float]:
        """Update the generator."""
        losses = {"generator": self._adversary.loss_of(made)}
        if self._facenet is not None:
            some = slice(self._config.identity_faces)
            # Where the face of the real image was: nobody knows where the new one is, and they differ by little.
            few = Shown(made.images[some], made.identity[some])
            identity = identity_loss(self._facenet, few, batch.boxes[some], batch.people, draw)
            losses["identity"] = identity * self._config.identity_loss_weight * self._emphasis
        loss = torch.stack(list(losses.values())).sum()
        update(self._optimizer, loss)
        return {name: float(value.detach()) for name, value in losses.items()} | {"loss": float(loss.detach())}

    def emphasise(self, times: float) -> None:
        """See ``Learner``."""
        self._emphasis = times

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
