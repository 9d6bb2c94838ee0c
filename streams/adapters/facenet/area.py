"""Area resampling: every pixel of the result is the mean of the pixels that it covers, wholly or in part.

The bins are those of adaptive average pooling: output i of n covers inputs floor(i·m/n) up to ceil((i+1)·m/n).
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

#: Outputs that one product makes: a matrix over all of a long image would not fit into memory.
_BLOCK = 64


def shrunk(images: Floats, height: int, width: int) -> Floats:
    """Return images (N, H, W, C) as (N, height, width, C)."""
    many, rows, columns, channels = images.shape
    by_rows = _means(images.reshape(many, rows, columns * channels), height)
    by_columns = _means(by_rows.reshape(many * height, columns, channels), width)
    return by_columns.reshape(many, height, width, channels)


def squares(pieces: Sequence[Floats], side: int) -> Floats:
    """Return pieces (h, w, C), each of a size of its own, as one array (N, side, side, C)."""
    return np.stack([shrunk(piece[None], side, side)[0] for piece in pieces])


def bins(inputs: int, outputs: int, start: int = 0, stop: int | None = None) -> tuple[Indices, Indices]:
    """Return which inputs each output from ``start`` to ``stop`` covers: the first, and the one behind the last.

    >>> bins(3, 2)
    (array([0, 1]), array([2, 3]))
    """
    index = np.arange(start, outputs if stop is None else stop)
    return index * inputs // outputs, -(-(index + 1) * inputs // outputs)


def _means(values: Floats, outputs: int) -> Floats:
    """Take means along the middle axis of (N, m, K), block by block: as (N, outputs, K)."""
    many, inputs, rest = values.shape
    result = np.empty((many, outputs, rest), dtype=np.float32)
    for start in range(0, outputs, _BLOCK):
        begin, weights = _weights(inputs, outputs, start)
        stop = start + len(weights)
        np.matmul(weights, values[:, begin : begin + weights.shape[1]], out=result[:, start:stop])
    return result


@lru_cache(maxsize=256)
def _weights(inputs: int, outputs: int, start: int) -> tuple[int, Floats]:
    """Return the first input of a block of outputs, and the matrix that takes its inputs to their means."""
    first, last = bins(inputs, outputs, start, min(start + _BLOCK, outputs))
    weights = np.zeros((len(first), last[-1] - first[0]), dtype=np.float32)
    for row, begin, end in zip(weights, first - first[0], last - first[0], strict=True):
        row[begin:end] = 1 / (end - begin)
    weights.flags.writeable = False  # it is shared
    return int(first[0]), weights
