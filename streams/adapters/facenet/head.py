"""FaceNet's last layer by itself: to repeat it alone, without the network and without torch."""

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from streams.core.explain.stability import Head
from streams.replacing import replacing

if TYPE_CHECKING:
    from torch import nn

Floats = npt.NDArray[np.float32]

#: Of the batch normalisation behind the layer, as every InceptionResnetV1 was trained.
_EPSILON = 1e-3
_NAMES = (
    "last_linear.weight",
    "last_bn.weight",
    "last_bn.bias",
    "last_bn.running_mean",
    "last_bn.running_var",
)


def head_of_tensors(tensors: Mapping[str, Floats]) -> Head:
    """Return the layer with the batch normalisation behind it folded in; takes the tensors of an InceptionResnetV1."""
    linear, scale, shift, mean, variance = (np.asarray(tensors[name]) for name in _NAMES)
    scale = scale / np.sqrt(variance + _EPSILON)
    return Head(np.asarray(linear * scale[:, None], np.float32), np.asarray(shift - mean * scale, np.float32))


def head_of_network(network: "nn.Module") -> Head:
    """Return the last layer of a loaded InceptionResnetV1."""
    state = network.state_dict()
    return head_of_tensors({name: state[name].detach().cpu().numpy() for name in _NAMES})


def head_of_weights(file: Path) -> Head | None:
    """Return the last layer from safetensors; None where they, or the library that reads them, are not there."""
    try:
        from safetensors import SafetensorError, safe_open
    except ImportError:
        return None
    try:
        with safe_open(file, framework="numpy") as tensors:
            return head_of_tensors({name: tensors.get_tensor(name) for name in _NAMES})
    except (OSError, SafetensorError):
        return None  # evidence alone rests on it; whoever embeds with these weights is told


def write_head(head: Head, file: Path) -> None:
    """Keep a last layer; ``read_head`` reads it with numpy alone.

    Raises:
        OSError: If it cannot be written.
    """
    with replacing(file) as part, part.open("wb") as opened:
        np.savez(opened, weights=head.weights, bias=head.bias)


def read_head(file: Path) -> Head | None:
    """Return a last layer that was kept; None where there is none that can be read."""
    try:
        with np.load(file, allow_pickle=False) as held:
            return Head(held["weights"], held["bias"])
    except (OSError, ValueError, KeyError, zipfile.BadZipFile):
        return None
