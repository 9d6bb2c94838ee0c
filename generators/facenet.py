"""FaceNet as a loss: the product's own network, through which gradients flow back into a generator's pixels.

A generator that learned through it is judged by the very network that taught it: figures on that network are then no
independent ones, and whoever publishes them says so.
"""

from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from generators.layers import Shown, softened
from streams.adapters.facenet.crops import SIDE
from streams.adapters.facenet.weights import load_embedder
from streams.settings import Settings
from streams.wheels import Report, silent


class FaceNet(nn.Module):
    """Images and where the faces are, to unit embeddings."""

    def __init__(self, network: nn.Module, dtype: torch.dtype = torch.float32, side: int = SIDE) -> None:
        """Take the network, what it computes in, and the side of the crops that it is shown, in pixels."""
        super().__init__()
        self.dtype, self.side = dtype, side
        self.network = network.eval().requires_grad_(False).to(dtype=dtype, memory_format=torch.channels_last)  # type: ignore[call-overload]

    def forward(self, images: Tensor, boxes: Tensor) -> Tensor:
        """Return float32 (B, 128), unit length.

        Args:
            images: (B, 3, H, W) in [-1, 1].
            boxes: Left, top, right, bottom in pixels, (B, 4); whole numbers, as the product cuts.
        """
        crops = whitened(cut_out(images.float(), boxes, self.side))
        crops = crops.to(dtype=self.dtype, memory_format=torch.channels_last)
        return functional.normalize(self.network(crops).float(), dim=1)


def load(
    settings: Settings,
    device: str = "cpu",
    dtype: torch.dtype = torch.float32,
    side: int = SIDE,
    report: Report = silent,
) -> FaceNet:
    """Load the product's embedder with its batch norms folded into the convolutions: a third faster.

    bfloat16 halves the time where the processor knows it, and leaves a cosine of 0.999 to the exact embedding. Smaller
    crops cost less and say less: at 128, 112, 96 and 80 pixels the cosine to one's own centroid is 0.81, 0.76, 0.46 and
    0.29 (0.93 at 160), rank-1 among 93 identities 0.98, 0.98, 0.58 and 0.03.

    Raises:
        BadInput, Unready, WeightsUnusable: As ``load_embedder`` says.
    """
    network, _ = load_embedder(settings, report)
    for module in network.modules():
        _fold(module)
    return FaceNet(network, dtype, side).to(device)


#: Temperature of the softmax over identities: cosines of different people differ by about 0.15.
TEMPERATURE = 0.1

#: Of the softmax beside the cosine itself.
CONTRAST = 0.2


def identity_loss(facenet: FaceNet, shown: Shown, boxes: Tensor, others: Tensor, draw: np.random.Generator) -> Tensor:
    """Return how little FaceNet sees whom it should, 0 and up, mean over the images.

    A network that is asked by its gradient answers with patterns that no person sees: so it is shown each face as
    another camera might have taken it, differently every time.

    Args:
        facenet: Who looks.
        shown: B images, and whom each should show.
        boxes: Where the faces are, (B, 4) in pixels.
        others: Unit identities (N, 128) to tell them from; rows equal to the target count as the target.
        draw: Says how they are taken.
    """
    return contrasted(facenet(*retaken(shown.images, boxes, draw)), shown.identity, others)


def retaken(images: Tensor, boxes: Tensor, draw: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Return images, and where the faces are, mirrored or not, in another light, blurred or not, with noise, and moved.

    A pattern of fine lines does not outlive that; features do.

    Args:
        images: (B, 3, S, S) in [-1, 1].
        boxes: Whole pixels, (B, 4), as are those that are returned.
        draw: Says how.
    """
    rows, side = len(images), images.shape[-1]

    def drawn(values: npt.NDArray[Any]) -> Tensor:
        return torch.from_numpy(values.astype(np.float32)).to(images)

    mirrored, blurred = (drawn(draw.random((rows, 1, 1, 1))) < 0.5 for _ in range(2))
    images = torch.where(mirrored, images.flip(-1), images)
    images = torch.where(blurred, softened(softened(images)), images)
    images = images * drawn(draw.uniform(0.8, 1.2, (rows, 3, 1, 1)))
    images = images + drawn(0.05 * draw.standard_normal(tuple(images.shape)))
    left, top, right, bottom = boxes.unbind(dim=1)
    boxes = torch.where(mirrored[:, :, 0, 0], torch.stack([side - right, top, side - left, bottom], dim=1), boxes)
    moved = boxes + drawn(draw.integers(-2, 3, (rows, 4))) + drawn(draw.integers(-2, 3, (rows, 2))).repeat(1, 2)
    return images, moved.clamp(0, side)


def contrasted(seen: Tensor, wanted: Tensor, others: Tensor) -> Tensor:
    """Return 1 - cosine to whom is wanted, and the log loss of taking somebody else for them; all rows of unit length.

    The cosine alone is content with a face that is everybody's a little: all people have some of it in common.
    """
    near = (seen * wanted).sum(dim=1)
    same = wanted @ others.T > 1 - 1e-4  # (B, N)
    apart = (seen @ others.T).masked_fill(same, -torch.inf)
    logits = torch.cat([near[:, None], apart], dim=1) / TEMPERATURE
    nobody = torch.zeros(len(seen), dtype=torch.long, device=seen.device)
    return (1 - near).mean() + CONTRAST * functional.cross_entropy(logits, nobody)


def _fold(module: Any) -> None:
    if isinstance(getattr(module, "conv", None), nn.Conv2d) and isinstance(getattr(module, "bn", None), nn.BatchNorm2d):
        module.conv, module.bn = fuse_conv_bn_eval(module.conv.eval(), module.bn.eval()), nn.Identity()


def cut_out(images: Tensor, boxes: Tensor, side: int = SIDE) -> Tensor:
    """Return the boxes as (B, 3, side, side): bilinear, as ``face_engine.cut_out`` but for its last rounding."""
    height, width = images.shape[-2:]
    left, top, right, bottom = boxes.to(images).unbind(dim=1)
    at = (torch.arange(side, device=images.device, dtype=images.dtype) + 0.5) / side  # (side,)
    # Pixel centres, held within the box: what lies outside of it does not bleed in.
    x = _clamped(left[:, None] + at * (right - left)[:, None], left[:, None], right[:, None])  # (B, side)
    y = _clamped(top[:, None] + at * (bottom - top)[:, None], top[:, None], bottom[:, None])
    grid = torch.stack(
        [
            (2 * x / width - 1)[:, None, :].expand(-1, side, -1),
            (2 * y / height - 1)[:, :, None].expand(-1, -1, side),
        ],
        dim=-1,
    )  # (B, side, side, 2)
    return functional.grid_sample(images, grid, mode="bilinear", padding_mode="border", align_corners=False)


def _clamped(at: Tensor, low: Tensor, high: Tensor) -> Tensor:
    return torch.minimum(torch.maximum(at, low + 0.5), high - 0.5)


def whitened(crops: Tensor) -> Tensor:
    """Return (x - mean) / max(std, 1 / sqrt(n)) of each crop over its n values; the scale of the pixels cancels."""
    mean = crops.mean(dim=(1, 2, 3), keepdim=True)
    deviation = crops.std(dim=(1, 2, 3), keepdim=True, correction=0)
    # The floor belongs to values up to 255, and these reach 1.
    floor = crops[0].numel() ** -0.5 / 127.5
    return (crops - mean) / deviation.clamp(min=floor)
