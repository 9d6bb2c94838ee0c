"""Area resampling: every pixel of the result is the mean of the pixels that it covers, wholly or in part.

The bins are those of adaptive average pooling: output i of n covers inputs floor(i·m/n) up to ceil((i+1)·m/n).
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]

#: Outputs that one product makes, and up to how many inputs it makes all: every output of a product takes time for all
#: of its inputs, of which a bin of a long image covers few.
_BLOCK, _WHOLE = 8, 128


def shrunk(images: Floats, height: int, width: int) -> Floats:
    """Return images (N, C, H, W) as (N, C, height, width)."""
    return _columns(_rows(images, height), width)


def squares(pieces: Sequence[Floats], side: int) -> Floats:
    """Return pieces (C, h, w), at least one and each of a size of its own, as one array (N, C, side, side)."""
    return np.stack([shrunk(piece, side, side) for piece in pieces])


def bins(inputs: int, outputs: int, start: int = 0, stop: int | None = None) -> tuple[Indices, Indices]:
    """Return which inputs each output from ``start`` to ``stop`` covers: the first, and the one behind the last.

    >>> bins(3, 2)
    (array([0, 1]), array([2, 3]))
    """
    index = np.arange(start, outputs if stop is None else stop)
    return index * inputs // outputs, -(-(index + 1) * inputs // outputs)


def _rows(values: Floats, outputs: int) -> Floats:
    """Take means of rows of (..., m, k): as (..., outputs, k)."""
    blocks = _blocks(values.shape[-2], outputs)
    return _joined([np.matmul(weights, values[..., covered, :]) for covered, weights in blocks], axis=-2)


def _columns(values: Floats, outputs: int) -> Floats:
    """Take means of columns of (..., k, m): as (..., k, outputs)."""
    blocks = _blocks(values.shape[-1], outputs)
    return _joined([np.matmul(values[..., covered], weights.T) for covered, weights in blocks], axis=-1)


def _blocks(inputs: int, outputs: int) -> Iterator[tuple[slice, Floats]]:
    """Yield block by block the inputs that it covers, and the matrix that takes them to their means."""
    step = outputs if inputs <= _WHOLE else _BLOCK
    return (_weights(inputs, outputs, start, min(start + step, outputs)) for start in range(0, outputs, step))


def _joined(blocks: Sequence[Floats], axis: int) -> Floats:
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks, axis=axis)


@lru_cache(maxsize=2048)
def _weights(inputs: int, outputs: int, start: int, stop: int) -> tuple[slice, Floats]:
    first, last = bins(inputs, outputs, start, stop)
    weights = np.zeros((len(first), last[-1] - first[0]), dtype=np.float32)
    for row, begin, end in zip(weights, first - first[0], last - first[0], strict=True):
        row[begin:end] = 1 / (end - begin)
    weights.flags.writeable = False  # it is shared
    return slice(first[0], last[-1]), weights
