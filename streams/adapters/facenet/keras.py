"""Reads the Keras file of FaceNet layer by layer into the tensors of facenet-pytorch's InceptionResnetV1.

Both are Inception-ResNet-v1 (Szegedy et al., 2016) as FaceNet uses it (Schroff et al., 2015). Keras keeps a kernel as
(height, width, in, out), torch as (out, in, height, width). The published batch norms have no gamma (scale=False),
which is a weight of one; their epsilon, 1e-3, is facenet-pytorch's own.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streams.errors import Unready, WeightsUnusable

Floats = npt.NDArray[np.float32]

#: What Keras calls a batch norm's tensors, and what torch calls them.
_BATCH_NORM = {
    "gamma": "weight",
    "beta": "bias",
    "moving_mean": "running_mean",
    "moving_variance": "running_var",
}


@dataclass(frozen=True)
class Converted:
    """A state for InceptionResnetV1, and what was counted on the way."""

    state: Mapping[str, Floats]
    read: int
    """Tensors in the Keras file; every one of them is used."""
    ones: int
    """Batch norms without gamma, given a weight of one."""


def convert(file: Path) -> Converted:
    """Convert a published Keras file of FaceNet.

    Raises:
        WeightsUnusable: If it cannot be read, or holds a layer that the network has not.
    """
    published = _read(file)
    paths = _paths({layer for layer, _ in published})
    state = {
        f"{paths[layer]}.{_parameter(layer, tensor)}": _as_torch(values)
        for (layer, tensor), values in published.items()
    }
    norms = [name.removesuffix("running_var") for name in state if name.endswith(".running_var")]
    ones = {
        f"{norm}weight": np.ones_like(state[f"{norm}running_var"]) for norm in norms if f"{norm}weight" not in state
    }
    if len(state) != len(published):
        raise WeightsUnusable(f"expected a place for each tensor of {file.name}, got two for one place")
    return Converted({**state, **ones}, read=len(published), ones=len(ones))


def _read(file: Path) -> dict[tuple[str, str], Floats]:
    """Return every tensor of the file by (layer, tensor name)."""
    try:
        import h5py
    except ImportError as error:
        raise Unready(
            "expected h5py to read FaceNet's published weights; run `pip install 'likeness-qc[faces]'`"
        ) from error
    tensors: dict[tuple[str, str], Floats] = {}

    def take(path: str, item: object) -> None:
        if isinstance(item, h5py.Dataset):
            layer, *_, tensor = path.split("/")
            tensors[layer, tensor.removesuffix(":0")] = np.asarray(item, dtype=np.float32)

    try:
        with h5py.File(file, "r") as h5:
            h5["model_weights"].visititems(take)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        raise WeightsUnusable(f"expected a Keras file with model_weights in {file.name}, got {error}") from error
    return tensors


def _paths(layers: Iterable[str]) -> dict[str, str]:
    """Return each Keras layer's path in InceptionResnetV1.

    >>> _paths(["Conv2d_4b_3x3_BatchNorm", "Block35_2_Conv2d_1x1", "Bottleneck"])["Conv2d_4b_3x3_BatchNorm"]
    'conv2d_4b.bn'
    """
    convolutions = sorted({layer.removesuffix("_BatchNorm") for layer in layers})
    branches: dict[tuple[str, str], list[str]] = defaultdict(list)
    for name in convolutions:
        if found := re.fullmatch(r"(.+)_Branch_(\d)_Conv2d_.+", name):
            branches[found[1], found[2]].append(name)
    paths: dict[str, str] = {"Bottleneck": "last_linear", "Bottleneck_BatchNorm": "last_bn"}
    for (block, branch), names in branches.items():
        for index, name in enumerate(names):
            # A branch of one convolution is that convolution; of several, they are numbered in order.
            place = f"{_block(block)}.branch{branch}" + (f".{index}" if len(names) > 1 else "")
            paths |= {name: f"{place}.conv", f"{name}_BatchNorm": f"{place}.bn"}
    for name, place in _unbranched(convolutions):
        paths |= {name: place, f"{name}_BatchNorm": place.replace(".conv", ".bn")}
    unknown = sorted(set(layers) - set(paths))
    if unknown:
        raise WeightsUnusable(f"expected the layers of Inception-ResNet-v1, got {len(unknown)} others: {unknown[:3]}")
    return paths


def _unbranched(convolutions: Iterable[str]) -> Iterator[tuple[str, str]]:
    for name in convolutions:
        if found := re.fullmatch(r"Conv2d_(\d[a-z])_\dx\d", name):
            yield name, f"conv2d_{found[1]}.conv"
        elif found := re.fullmatch(r"(Block\d+_\d+)_Conv2d_1x1", name):
            yield name, f"{_block(found[1])}.conv2d"


def _block(name: str) -> str:
    """Return where a block sits: ``Block17_3`` is the third of the second repeat.

    >>> [_block(name) for name in ("Mixed_6a", "Block17_3", "Block8_6")]
    ['mixed_6a', 'repeat_2.2', 'block8']
    """
    if name == "Block8_6":
        return "block8"
    if found := re.fullmatch(r"Block(35|17|8)_(\d+)", name):
        return f"repeat_{('35', '17', '8').index(found[1]) + 1}.{int(found[2]) - 1}"
    return name.lower()


def _parameter(layer: str, tensor: str) -> str:
    if layer.endswith("_BatchNorm") and tensor in _BATCH_NORM:
        return _BATCH_NORM[tensor]
    if not layer.endswith("_BatchNorm") and tensor in ("kernel", "bias"):
        return {"kernel": "weight", "bias": "bias"}[tensor]
    raise WeightsUnusable(f"expected a kernel, a bias or a batch norm's tensors, got {tensor!r} of layer {layer!r}")


def _as_torch(values: Floats) -> Floats:
    if values.ndim == 4:  # (h, w, in, out) -> (out, in, h, w)
        values = values.transpose(3, 2, 0, 1)
    elif values.ndim == 2:  # (in, out) -> (out, in)
        values = values.T
    return np.ascontiguousarray(values)
