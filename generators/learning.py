"""What every family's training shares: a batch on the device, an average of the weights, and what a learner is."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Generic, Protocol, Self, TypeVar

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from generators.data import SIDE, Faces
from generators.serve import Sampler

Network = TypeVar("Network", bound=nn.Module)


@dataclass(frozen=True)
class Plan:
    """How to train, whatever the family."""

    steps: int = 20_000
    """Updates in all; a run that is stopped earlier can be used as it is."""
    minutes: float | None = None
    """Minutes of training in all, over every time that it is taken up again; whichever ends first. None: no limit."""
    batch: int = 24
    learning_rate: float = 4e-4
    average: float = 0.995
    """How much of the averaged weights one update leaves, in [0, 1)."""
    checkpoint_seconds: float = 120.0
    evaluate_seconds: float = 600.0
    """How often held-out identities are sampled and judged; it costs some seconds."""
    seed: int = 0
    half: bool = True
    """Compute in bfloat16 where that loses nothing: twice as fast on a processor or a GPU that knows it."""
    threads: int = 1
    identity_side: int = 112
    """Side of the crops that FaceNet is shown as a loss, in pixels; the product's is 160, and three times as slow."""


@dataclass(frozen=True)
class Batch:
    """B faces on the device."""

    images: Tensor
    """(B, 3, 64, 64) in [-1, 1], channels last."""
    boxes: Tensor
    """(B, 4) in pixels: what FaceNet is shown."""
    identity: Tensor
    """(B, 128): the unit centroid of each face's identity."""
    people: Tensor
    """(I, 128): the unit centroids of all that are learned from, to tell each face's identity from."""

    @classmethod
    def drawn(cls, faces: Faces, size: int, draw: np.random.Generator, device: str) -> Self:
        """Draw faces with replacement; every other one is mirrored, which keeps its identity."""
        rows = draw.integers(len(faces), size=size)
        mirrored = draw.random(size) < 0.5
        pixels, boxes = faces.pixels[rows].copy(), faces.boxes[rows].astype(np.float32)
        pixels[mirrored] = pixels[mirrored, :, ::-1]
        boxes[mirrored] = np.stack([SIDE - boxes[:, 2], boxes[:, 1], SIDE - boxes[:, 0], boxes[:, 3]], axis=1)[mirrored]
        return cls(
            as_images(pixels, device),
            torch.from_numpy(boxes).to(device),
            torch.from_numpy(faces.centroids[faces.identities[rows]]).to(device),
            torch.from_numpy(faces.centroids).to(device),
        )


def as_images(pixels: npt.NDArray[np.uint8], device: str) -> Tensor:
    """Return RGB (B, H, W, 3) as float32 (B, 3, H, W) in [-1, 1], channels last in memory."""
    return from_levels(torch.from_numpy(pixels).to(device))


def from_levels(pixels: Tensor) -> Tensor:
    """Undo ``levels``, but for the rounding."""
    return pixels.permute(0, 3, 1, 2).float().div(127.5).sub(1)


def as_pixels(images: Tensor) -> npt.NDArray[np.uint8]:
    """Return images (B, 3, H, W) in [-1, 1] as RGB (B, H, W, 3)."""
    pixels: npt.NDArray[np.uint8] = levels(images).contiguous().cpu().numpy()
    return pixels


def levels(images: Tensor) -> Tensor:
    """Return images (B, 3, H, W) in [-1, 1] as uint8 (B, H, W, 3)."""
    return ((images.float() + 1) * 127.5).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1)


class Average(Generic[Network]):
    """The exponential moving average of a network's weights: what is sampled from, and steadier than the network."""

    def __init__(self, network: Network, keep: float) -> None:
        self.network = copy.deepcopy(network).eval().requires_grad_(False)
        self._keep = keep

    @torch.no_grad()
    def update(self, network: Network, step: int) -> None:
        """Move towards the network; quickly at first, when what it starts from is worth nothing."""
        keep = min(self._keep, (step + 1) / (step + 10))
        for ours, theirs in zip(self.network.parameters(), network.parameters(), strict=True):
            ours.lerp_(theirs, 1 - keep)
        for mine, its in zip(self.network.buffers(), network.buffers(), strict=True):
            mine.copy_(its)


class Learner(Protocol):
    """One family in training."""

    @property
    def modules(self) -> Mapping[str, nn.Module]:
        """All that has state, by name; ``average`` is what is sampled from."""

    @property
    def optimizers(self) -> Mapping[str, torch.optim.Optimizer]:
        """By name."""

    def step(self, batch: Batch, step: int, draw: np.random.Generator) -> dict[str, float]:
        """Do one update; return the losses."""

    def emphasise(self, times: float) -> None:
        """Let the identity loss count so many times its weight from now on, in a family that has one."""

    def sampler(self) -> Sampler:
        """Return what samples from the averaged weights as they are now."""


def noise(draw: np.random.Generator, *shape: int, device: str = "cpu") -> Tensor:
    """Draw standard normal values: numpy's, so that a seed means the same on every device."""
    return torch.from_numpy(draw.standard_normal(shape, dtype=np.float32)).to(device)


def update(optimizer: torch.optim.Optimizer, loss: Tensor, longest: float = 10.0) -> None:
    """Follow the loss's gradient, cut to length ``longest`` over all weights."""
    optimizer.zero_grad(set_to_none=True)
    loss.backward()  # type: ignore[no-untyped-call]
    nn.utils.clip_grad_norm_([weight for group in optimizer.param_groups for weight in group["params"]], longest)
    optimizer.step()


def autocast(device: str, *, half: bool) -> Any:
    """Return the context in which a network computes."""
    return torch.autocast(torch.device(device).type, dtype=torch.bfloat16, enabled=half)
