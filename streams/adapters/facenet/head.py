"""FaceNet's last layer by itself: to repeat it alone, without the network and without torch."""

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from streams.core.explain.stability import Head
from streams.replacing import replacing

if TYPE_CHECKING:
    from torch import nn

#: Of the batch normalisation behind the layer, as every InceptionResnetV1 was trained.
_EPSILON = 1e-3
_NAMES = (
    "last_linear.weight",
    "last_bn.weight",
    "last_bn.bias",
    "last_bn.running_mean",
    "last_bn.running_var",
)


def head_of_network(network: "nn.Module") -> Head:
    """Return the last layer of a loaded InceptionResnetV1, with the batch normalisation behind it folded in."""
    state = network.state_dict()
    linear, scale, shift, mean, variance = (state[name].detach().cpu().numpy() for name in _NAMES)
    scale = scale / np.sqrt(variance + _EPSILON)
    return Head(np.asarray(linear * scale[:, None], np.float32), np.asarray(shift - mean * scale, np.float32))


def write_head(head: Head, file: Path) -> None:
    """Keep a last layer; ``read_head`` reads it with numpy alone.

    Raises:
        OSError: If it cannot be written.
    """
    with replacing(file) as part, part.open("wb") as opened:
        np.savez(opened, weights=head.weights, bias=head.bias)


def read_head(file: Path) -> Head:
    """Return a last layer that ``write_head`` kept."""
    with np.load(file, allow_pickle=False) as held:
        return Head(held["weights"], held["bias"])
