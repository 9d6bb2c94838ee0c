"""Latent diffusion (Rombach et al., 2022, arXiv:2112.10752): noise and an identity to a latent, and that to a face.

The latents are the encoder-decoder's, whose decoder is part of this model. They are learned as Ho et al. (2020,
arXiv:2006.11239: "DDPM") learn images, and sampled by DDIM (Song et al., 2021, arXiv:2010.02502) with classifier-free
guidance (Ho and Salimans, 2022, arXiv:2207.12598). Symbols and equation numbers are those papers'.
"""

import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional

from generators import latent
from generators.encoder_decoder import EncoderDecoder, EncoderDecoderConfig
from generators.latent import Floats
from generators.layers import IDENTITY, Identity
from generators.learning import Average, Batch, Plan, as_pixels, autocast, noise, update


@dataclass(frozen=True)
class DiffusionConfig:
    """Sizes of the network, its schedule, and how it is sampled."""

    width: int = 640
    blocks: int = 6
    condition: int = 256
    timesteps: int = 1000
    """T of DDPM."""
    unconditional: float = 0.1
    """p_uncond: how often training hides the identity."""
    repeats: int = 8
    """How many noises and times one latent is learned at in one update: encoding it costs more than all of them."""
    sampling_steps: int = 50
    """Steps of DDIM."""
    guidance: float = 1.0
    """w of classifier-free guidance; 0 samples what was learned, more follows the identity closer and varies less."""
    autoencoder: EncoderDecoderConfig = field(default_factory=EncoderDecoderConfig)
    """Of the encoder-decoder whose latents these are."""


def alphas_bar(timesteps: int) -> Tensor:
    """Return alpha-bar_t for t = 0 … T, shape (T + 1,), of DDPM's linear beta, section 4; alpha-bar_0 is 1, no noise.

    beta goes from 0.0001 to 0.02 for T = 1000, and scales with 1 / T. The cosine schedule of later papers ends so near
    to nothing that DDIM's first step, which divides by the root of alpha-bar_T, blows up what the network errs by.
    """
    beta = torch.linspace(1e-4, 0.02, timesteps, dtype=torch.float64) * (1000 / timesteps)
    return torch.cat([torch.ones(1, dtype=torch.float64), (1 - beta.clamp(max=0.999)).cumprod(0)]).float()


def noised(x0: Tensor, a: Tensor, epsilon: Tensor) -> Tensor:
    """Return x_t = sqrt(a) x_0 + sqrt(1 - a) epsilon, a = alpha-bar_t of each row (B, 1): DDPM, eq. 4."""
    return a.sqrt() * x0 + (1 - a).sqrt() * epsilon


def guided(conditional: Tensor, unconditional: Tensor, w: float) -> Tensor:
    """Return (1 + w) epsilon(x, c) - w epsilon(x): Ho and Salimans, eq. 6."""
    return (1 + w) * conditional - w * unconditional


def ddim(predict: Callable[[Tensor, int], Tensor], x: Tensor, a: Tensor, steps: int) -> Tensor:
    """Go from noise x_T to x_0 in equal steps, without new noise: DDIM, eq. 12 with sigma_t = 0.

    Args:
        predict: Gives epsilon of x_t at t, shaped as x_t.
        x: x_T, shape (B, d).
        a: alpha-bar_t for t = 0 … T.
        steps: How many of the T to take, from 1 to T.
    """
    times = np.linspace(len(a) - 1, 0, steps + 1).round().astype(int).tolist()
    for t, before in itertools.pairwise(times):
        epsilon = predict(x, t)
        x0 = (x - (1 - a[t]).sqrt() * epsilon) / a[t].sqrt()
        x = a[before].sqrt() * x0 + (1 - a[before]).sqrt() * epsilon
    return x


def at_times(t: Tensor, width: int) -> Tensor:
    """Return the sinusoidal embedding of times t (B,), shape (B, width): Vaswani et al. (2017, arXiv:1706.03762)."""
    rates = torch.exp(torch.arange(width // 2, device=t.device) * (-np.log(10_000) / (width // 2)))
    angles = t.float()[:, None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class Block(nn.Module):
    """A residual layer, steered by time and identity; begins as doing nothing (adaLN-Zero of Peebles and Xie, 2023)."""

    def __init__(self, width: int, condition: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.modulation = nn.Linear(condition, 3 * width)
        self.net = nn.Sequential(nn.Linear(width, 2 * width), nn.SiLU(), nn.Linear(2 * width, width))
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)

    def forward(self, h: Tensor, condition: Tensor) -> Tensor:
        """Return h (B, width) and what the layer adds to it."""
        gamma, beta, gate = self.modulation(condition).chunk(3, dim=1)
        added: Tensor = gate * self.net(self.norm(h) * (1 + gamma) + beta)
        return h + added


class Denoiser(nn.Module):
    """epsilon_theta(x_t, t, c); latents are short vectors, and so layers over all of their values do."""

    def __init__(self, values: int, config: DiffusionConfig) -> None:
        super().__init__()
        width, condition = config.width, config.condition
        self.time = nn.Sequential(nn.Linear(128, condition), nn.SiLU(), nn.Linear(condition, condition))
        self.identity = Identity(condition)
        #: What stands for an identity that is hidden.
        self.anybody = nn.Parameter(torch.zeros(condition))
        self.enter = nn.Linear(values, width)
        self.blocks = nn.ModuleList(Block(width, condition) for _ in range(config.blocks))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, values))

    def forward(self, x: Tensor, t: Tensor, identity: Tensor, hidden: Tensor) -> Tensor:
        """Return epsilon (B, values) of x_t, t (B,) and unit identities (B, 128) that are hidden (B,) or not."""
        who = torch.where(hidden[:, None], self.anybody, self.identity(identity))
        condition = functional.silu(self.time(at_times(t, 128)) + who)
        h = self.enter(x)
        for block in self.blocks:
            h = block(h, condition)
        epsilon: Tensor = self.leave(h)
        return epsilon.float()


class LatentDiffusion(nn.Module):
    """The denoiser, and the encoder-decoder whose latents it makes; the latter is not trained any further."""

    def __init__(self, config: DiffusionConfig) -> None:
        super().__init__()
        self.config = config
        self.autoencoder = EncoderDecoder(config.autoencoder).requires_grad_(False)
        self.denoiser = Denoiser(self.autoencoder.values, config)

    def scaled(self, latents: Tensor) -> Tensor:
        """Return latents (B, C, 4, 4) as x_0 (B, values), of mean 0 and variance 1 over the training faces."""
        mean, deviation = self._moments()
        return (latents.flatten(1) - mean) / deviation

    def latents(self, x0: Tensor) -> Tensor:
        """Undo ``scaled``."""
        mean, deviation = self._moments()
        return (x0 * deviation + mean).reshape(-1, self.config.autoencoder.latent, 4, 4)

    def _moments(self) -> tuple[Tensor, Tensor]:
        mean = self.autoencoder.latent_mean
        return mean, (self.autoencoder.latent_second.diagonal() - mean.square()).clamp(min=1e-6).sqrt()


class DiffusionLearner:
    """Trains the denoiser by DDPM's simple loss."""

    def __init__(self, config: DiffusionConfig, plan: Plan, taught: EncoderDecoder, device: str = "cpu") -> None:
        """Take the trained encoder-decoder; its configuration must be the one in ``config``."""
        torch.manual_seed(plan.seed)
        self._config, self._plan, self._device = config, plan, device
        self._network = LatentDiffusion(config)
        self._network.autoencoder.load_state_dict(taught.state_dict())
        self._network.to(device=device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self._network.autoencoder.eval()
        self._alphas = alphas_bar(config.timesteps).to(device)
        self._average = Average(self._network, plan.average)
        self._optimizer = torch.optim.AdamW(
            self._network.denoiser.parameters(), plan.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
        )
        self.modules: Mapping[str, nn.Module] = {"network": self._network, "average": self._average.network}
        self.optimizers: Mapping[str, torch.optim.Optimizer] = {"denoiser": self._optimizer}

    def step(self, batch: Batch, step: int, draw: np.random.Generator) -> dict[str, float]:
        """See ``Learner``."""
        config, network = self._config, self._network
        with torch.no_grad(), autocast(self._device, half=self._plan.half):
            mean, log_variance = network.autoencoder.encode(batch.images)
            # As the decoder was taught: latents with the encoder's own noise.
            latents = mean + (log_variance / 2).exp() * noise(draw, *mean.shape, device=self._device)
        x0 = network.scaled(latents).repeat(config.repeats, 1)
        identity = batch.identity.repeat(config.repeats, 1)
        t = torch.from_numpy(draw.integers(1, config.timesteps + 1, size=len(x0))).to(self._device)
        hidden = torch.from_numpy(draw.random(len(x0)) < config.unconditional).to(self._device)
        epsilon = noise(draw, *x0.shape, device=self._device)
        xt = noised(x0, self._alphas[t][:, None], epsilon)
        with autocast(self._device, half=self._plan.half):
            predicted = network.denoiser(xt, t, identity, hidden)
        loss = (predicted - epsilon).square().mean()  # DDPM, eq. 14
        update(self._optimizer, loss)
        self._average.update(network, step)
        return {"loss": float(loss.detach())}

    def emphasise(self, times: float) -> None:
        """Do nothing: no loss of this family asks FaceNet."""

    def sampler(self) -> "DiffusionSampler":
        """See ``Learner``."""
        return DiffusionSampler(self._average.network, self._device)


class DiffusionSampler:
    """The networks ready to sample: in evaluation mode, on one device."""

    conditioning_length = IDENTITY

    def __init__(self, network: LatentDiffusion, device: str = "cpu") -> None:
        self.network = network.eval().requires_grad_(False).to(device)
        self.device = device
        self._alphas = alphas_bar(network.config.timesteps).to(device)

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
        x = torch.from_numpy(latent.drawn(seeds, self.network.autoencoder.values)).to(self.device)
        with torch.inference_mode():
            return as_pixels(self.images(x, identity))

    def images(self, x: Tensor, identity: Tensor) -> Tensor:
        """Return images (B, 3, 64, 64) in [-1, 1] of noise x_T (B, values) and unit identities (B, 128)."""
        x0 = ddim(lambda x, t: self._epsilon(x, t, identity), x, self._alphas, self.network.config.sampling_steps)
        return self.network.autoencoder.decode(self.network.latents(x0), identity)

    def _epsilon(self, x: Tensor, t: int, identity: Tensor) -> Tensor:
        """Predict with and without the identity in one pass, and extrapolate."""
        rows = x.shape[0]  # len(x) would be the example's where this is traced
        hidden = torch.arange(2 * rows, device=x.device) >= rows
        times = torch.full((2 * rows,), t, device=x.device)
        epsilon = self.network.denoiser(x.repeat(2, 1), times, identity.repeat(2, 1), hidden)
        return guided(epsilon[:rows], epsilon[rows:], self.network.config.guidance)


def load(config: DiffusionConfig, tensors: Mapping[str, Tensor], device: str = "cpu") -> DiffusionSampler:
    """Build the networks from their tensors; none may be missing, and none left over (RuntimeError)."""
    network = LatentDiffusion(config)
    network.load_state_dict({name: tensor.float() for name, tensor in tensors.items()}, strict=True)
    return DiffusionSampler(network, device)
