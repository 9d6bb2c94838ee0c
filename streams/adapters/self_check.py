"""Does this machine compute what it should? A few faces of people who do not exist, with their known embeddings.

An engine that computes something else does not fail: it gives unit vectors, of which some are even near each other, and
every verdict on them is wrong. (torch 2.15's compiler did so with frozen weights, at a perfect separation of pairs.)
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streams.core.faces import Examined, Sighting
from streams.errors import Unready

_FOLDER = Path(__file__).with_name("known_faces")

#: The least cosine between what an engine computes in 32-bit floats and what is known.
LEAST_COSINE = 0.9999


def self_check(examine: Callable[[Sequence[bytes]], list[Examined]], embedder: str, engine: str) -> float | None:
    """Have the known faces examined; return the least cosine to their known embeddings.

    None where nothing is known: of an embedder whose weights its user brings.

    Raises:
        Unready: If a face is not found, or its embedding is another one.
    """
    known = _known(embedder)
    if known is None:
        return None
    seen = examine([file.read_bytes() for file in sorted(_FOLDER.glob("*.png"))])
    found = [one.largest.embedding for one in seen if isinstance(one, Sighting) and one.largest is not None]
    if len(found) < len(known):
        raise _wrong(engine, f"finds {len(found)} of {len(known)} known faces")
    # A minimum that any NaN makes NaN.
    least = float(np.min([(one * two).sum() for one, two in zip(found, known, strict=True)]))
    if not least >= LEAST_COSINE:
        raise _wrong(engine, f"embeds a known face with a cosine of {least:.4f} to what it should be")
    return least


def _known(embedder: str) -> npt.NDArray[np.float32] | None:
    file = _FOLDER / f"{embedder}.json"
    return np.array(json.loads(file.read_bytes()), dtype=np.float32) if file.is_file() else None


def _wrong(engine: str, what: str) -> Unready:
    other = {"onnxruntime": "torch", "torch": "onnxruntime"}[engine]
    return Unready(
        f"expected the engine {engine} to compute what it computes elsewhere (cosine >= {LEAST_COSINE}), but it {what}:"
        f" every verdict would be wrong. Set LIKENESS_ENGINE={other}, or reinstall {engine} in another release"
    )
