"""Area resampling: every pixel of the result is the mean of the pixels that it covers, wholly or in part.

The bins are those of adaptive average pooling: output i of n covers inputs floor(i·m/n) up to ceil((i+1)·m/n). The mean
over a rectangle is a mean over rows of means over columns, so both are matrix products.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]


@lru_cache(maxsize=4096)
def bins(inputs: int, outputs: int) -> Floats:
    """Return the weights (outputs, inputs) that take m values to n means; each row sums to one.

    >>> bins(3, 2)
    array([[0.5, 0.5, 0. ],
           [0. , 0.5, 0.5]], dtype=float32)
    """
    weights = np.zeros((outputs, inputs), dtype=np.float32)
    for i in range(outputs):
        first, last = i * inputs // outputs, -(-(i + 1) * inputs // outputs)
        weights[i, first:last] = 1 / (last - first)
    weights.flags.writeable = False  # it is shared
    return weights


def shrunk(images: Floats, height: int, width: int) -> Floats:
    """Return images (N, H, W, C) as (N, height, width, C)."""
    many, rows, columns, channels = images.shape
    by_rows = bins(rows, height) @ images.reshape(many, rows, columns * channels)
    by_columns = bins(columns, width) @ by_rows.reshape(many * height, columns, channels)
    return np.asarray(by_columns.reshape(many, height, width, channels), dtype=np.float32)


def squares(pieces: Sequence[Floats], side: int) -> Floats:
    """Return pieces (h, w, C), each of a size of its own, as one array (N, side, side, C)."""
    channels = pieces[0].shape[2]
    result = np.empty((len(pieces), side, side, channels), dtype=np.float32)
    for target, piece in zip(result, pieces, strict=True):
        height, width, _ = piece.shape
        by_rows = bins(height, side) @ piece.reshape(height, width * channels)
        np.matmul(bins(width, side), by_rows.reshape(side, width, channels), out=target)
    return result
