"""Does this machine compute what it should? A few faces of people who do not exist, with their known embeddings.

An engine that computes something else does not fail: it gives unit vectors, of which some are even near each other, and
every verdict on them is wrong. (torch 2.15's compiler did so with frozen weights, at a perfect separation of pairs.)

Which embeddings are of one space, and may be compared: those of engines that compute in 32-bit floats and agree with
what is known (``LEAST_COSINE``), and those in shorter numbers that come as near to them as their card says. The first
class is what galleries hold. A verdict rests on the second only where its error could not have changed it. So neither
the engine nor the precision is part of the space's fingerprint, and nobody has to be enrolled anew.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streams.adapters.facenet.crops import cut_out
from streams.adapters.facenet.detector import Detect, Detector
from streams.adapters.images.decode import decode_here
from streams.core.faces import Embedding, Examined, Pixels, Sighting, Undecodable
from streams.errors import Unready
from streams.events import Precision

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
    seen = examine(known_images())
    found = [one.largest.embedding for one in seen if isinstance(one, Sighting) and one.largest is not None]
    if len(found) < len(known):
        raise _wrong(engine, f"finds {len(found)} of {len(known)} known faces")
    # A minimum that any NaN makes NaN.
    least = float(np.min([(one * two).sum() for one, two in zip(found, known, strict=True)]))
    if not least >= LEAST_COSINE:
        raise _wrong(engine, f"embeds a known face with a cosine of {least:.4f} to what it should be")
    return least


def known_images() -> list[bytes]:
    """Return the known faces, encoded."""
    return [file.read_bytes() for file in sorted(_FOLDER.glob("*.png"))]


def known_crops(detect: Detect) -> Pixels:
    """Return the known faces, cut out as a network finds them: uint8 (N, 160, 160, 3)."""
    images = [image for image in decode_here(known_images()) if not isinstance(image, Undecodable)]
    found = Detector(detect).find(images)
    return np.stack([cut_out(image, faces[0].box) for image, faces in zip(images, found, strict=True) if faces])


def check_fast(precision: Precision, exact: Sequence[Embedding], fast: Sequence[Embedding], least: float) -> float:
    """Hold embeddings in shorter numbers against the exact ones of the same faces; return the least cosine.

    Processors without the instructions that multiply 8-bit integers may saturate, and are wrong without a word.

    Args:
        precision: The shorter numbers.
        exact: In 32-bit floats, unit length.
        fast: In the shorter numbers, unit length.
        least: The least cosine where the error was measured.

    Raises:
        Unready: If one is less alike.
    """
    found = float(np.min([(one * two).sum() for one, two in zip(exact, fast, strict=True)]))
    if not found >= least:
        raise Unready(
            f"expected {precision} to embed known faces with a cosine of {least:.4f} or more to those in fp32, as where"
            f" its error was measured, got {found:.4f}: set LIKENESS_PRECISION=fp32 on this machine"
        )
    return found


def _known(embedder: str) -> npt.NDArray[np.float32] | None:
    file = _FOLDER / f"{embedder}.json"
    return np.array(json.loads(file.read_bytes()), dtype=np.float32) if file.is_file() else None


def _wrong(engine: str, what: str) -> Unready:
    other = "torch" if engine == "onnxruntime" else "onnxruntime"
    return Unready(
        f"expected the engine {engine} to compute what it computes elsewhere (cosine >= {LEAST_COSINE}), but it {what}:"
        f" every verdict would be wrong. Set LIKENESS_ENGINE={other}, or reinstall {engine} in another release"
    )
