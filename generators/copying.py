"""Whether a generator shows its training images again."""

import numpy as np
import numpy.typing as npt

from generators.data import Pixels
from streams.adapters.copies.hash import CopyHash
from streams.core.policy import Limits

#: Bits of 256 that may differ in a near copy: the product's own limit.
NEAR_COPY = int(Limits.model_fields["near_copy_bits"].default)


def copy_rate(samples: Pixels, originals: Pixels, bits: int = NEAR_COPY) -> float:
    """Return the share of samples that are near copies of an original or of its mirror image.

    Whole pictures are compared, by the perceptual hash by which the judge compares them; the judge looks at the aligned
    face beside that, which also finds what was moved or turned.

    Args:
        samples: RGB, shape (n, H, W, 3), n at least 1.
        originals: Training images, shape (m, H, W, 3), m at least 1.
        bits: How many of the 256 may differ.
    """
    made = _hashed(samples)
    known = np.concatenate([_hashed(originals), _hashed(originals[:, :, ::-1])])
    # |a - b| of bits is a + b - 2ab: one product of matrices in the place of n * m comparisons.
    differ = made.sum(axis=1)[:, None] + known.sum(axis=1)[None] - 2 * made @ known.T  # (n, 2m)
    return float((differ.min(axis=1) <= bits).mean())


def _hashed(pictures: Pixels) -> npt.NDArray[np.float32]:
    """Return the bits of whole pictures as 0 and 1, shape (n, 256)."""
    hashes = CopyHash(_no_landmarks)
    return np.stack([bits for (bits,) in hashes.imprints([hashes.views(one, None) for one in pictures])])


def _no_landmarks(faces: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    raise AssertionError("expected whole pictures alone, got a face")
