"""Embeddings seen from two directions: which ones, is what a view decides."""

import warnings
from collections.abc import Callable
from typing import Literal

import numpy as np
import numpy.typing as npt

from streams.errors import Unready

Floats = npt.NDArray[np.float64]
Name = Literal["pca", "umap"]

#: Neighbours that UMAP keeps together, as its authors take.
_NEIGHBOURS = 15
_SEED = 0

View = Callable[[Floats], tuple[Floats, float | None]]
"""From rows, shape (n, d), n > 2, to places, shape (n, 2), and the share of the variance in them, where it has one."""


def view(name: Name) -> View:
    """Return the view of this name.

    Raises:
        Unready: If its library is not installed.
    """
    return components if name == "pca" else _neighbours()


def components(rows: Floats) -> tuple[Floats, float | None]:
    """Return rows as their first two principal components: a straight look, in which distances are distances.

    Each direction is turned so that its largest value is positive: it has no sign of its own.
    """
    centred = rows - rows.mean(axis=0)
    sizes, directions = np.linalg.eigh(centred.T @ centred)  # rising
    two = directions[:, :-3:-1].T
    two = two * np.sign(two[np.arange(len(two)), np.abs(two).argmax(axis=1)])[:, None]
    total = float(sizes.sum())
    return centred @ two.T, float(sizes[-2:].sum()) / total if total > 0 else 1.0


def _neighbours() -> View:
    """Return UMAP (McInnes et al. 2018, by its authors' library): who is near stays near, all other distances bend."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ImportWarning)  # of TensorFlow, for a kind of it that is not used here
            from umap import UMAP
    except ImportError as error:
        raise Unready(
            "umap-learn is not installed: `pip install 'likeness-qc[umap]'`, or leave --map umap out"
        ) from error

    def neighbours(rows: Floats) -> tuple[Floats, float | None]:
        # One seed, one thread, no start by chance: the same rows give the same places.
        found = UMAP(
            n_neighbors=min(_NEIGHBOURS, len(rows) - 1),
            metric="cosine",
            init="pca",
            random_state=_SEED,
            n_jobs=1,
        ).fit_transform(rows)
        return np.asarray(found, dtype=np.float64), None

    return neighbours
