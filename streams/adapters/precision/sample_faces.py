"""Faces to calibrate with and to measure on, from whichever installed package draws some."""

import hashlib
import importlib.metadata
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from streams.adapters.engines.networks import FaceNetworks
from streams.adapters.facenet.crops import cut_out
from streams.adapters.facenet.detector import Detector
from streams.core.faces import Pixels
from streams.errors import Unready
from streams.wheels import Report

#: Entry points that draw: called with the cache folder, how many people, the first one's number and a reporter, they
#: say where the faces come from and return as many faces of each, person by person, as uint8 (N, H, W, 3).
GROUP = "likeness.faces"


@dataclass(frozen=True, eq=False)
class Drawn:
    """Faces as the embedder takes them, cut out by the detector that the road uses."""

    crops: Pixels
    """uint8 (N, 160, 160, 3)."""
    people: npt.NDArray[np.int64]
    """Whom each face shows, shape (N,)."""
    source: str
    """Where they come from, with the SHA-256 of the crops."""


def draw(networks: FaceNetworks, cache_dir: Path, *, people: int, first: int, report: Report) -> Drawn:
    """Draw faces of so many people; those in which the detector finds none are left out.

    Raises:
        Unready: If no installed package draws faces.
        WeightsUnusable: If the one that does cannot have its weights.
    """
    entries = importlib.metadata.entry_points(group=GROUP)
    if not entries:
        raise Unready(
            f"expected an installed package with an entry point {GROUP}, got none: run `pip install likeness-qc` anew,"
            " or set LIKENESS_PRECISION=fp32"
        )
    source, images = next(iter(entries)).load()(cache_dir, people, first, report)
    crops, shown = [], []
    for place, (image, faces) in enumerate(zip(images, Detector(networks.detect).find(list(images)), strict=True)):
        if faces:
            crops.append(cut_out(image, faces[0].box))
            shown.append(first + place * people // len(images))
    together = np.stack(crops)
    digest = hashlib.sha256(together.tobytes()).hexdigest()
    return Drawn(together, np.array(shown, dtype=np.int64), f"{len(crops)} faces of {source}, sha256 {digest}")
