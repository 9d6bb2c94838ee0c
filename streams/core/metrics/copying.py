"""Does a generator copy what it learned from? A test over many samples, where the rules look at one.

Meehan, Chaudhuri and Dasgupta, 2020, "A non-parametric test to detect data-copying in generative models",
arXiv:2004.05675: are generated samples nearer to the training data than held-out real ones are?
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def copying_z(generated: Floats, held_out: Floats) -> float:
    """Return z of the Mann-Whitney test, C_T of the paper: far below 0 is copying, far above 0 is underfitting.

    Args:
        generated: Distance of each generated sample to its nearest training sample, shape (n,).
        held_out: The same of real samples that were not trained on, shape (m,).

    Raises:
        ValueError: If one of them is empty.

    >>> round(copying_z(np.array([1.0, 2.0]), np.array([3.0, 4.0])), 3)
    -1.549
    """
    n, m = len(generated), len(held_out)
    if not n or not m:
        raise ValueError(f"expected distances of generated and of held-out samples, got {n} and {m}")
    ordered = np.sort(held_out)
    # U: pairs in which the generated sample is the farther one, ties counted as half.
    farther = np.searchsorted(ordered, generated, "left") + np.searchsorted(ordered, generated, "right")
    u = float(farther.sum()) / 2
    return (u - n * m / 2) / float(np.sqrt(n * m * (n + m + 1) / 12))
