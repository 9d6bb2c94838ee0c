"""Two judges of the same faces: FaceNet, which may have been a loss, and another network, through which nobody learned.

Both look at the one face that the product's own detector finds: what it does not find, neither judges.
"""

import importlib.util
from collections.abc import Mapping, Sequence

import numpy as np

from generators.data import Faces
from generators.serve import Images
from streams.adapters.faces.engine import FaceEngine
from streams.adapters.images.decode import encode_png
from streams.core.faces import Embedding, Face, Sighting
from streams.core.metrics.identification import Identification, identification
from streams.core.similarity import unit
from streams.settings import Settings
from streams.wheels import Report, silent

#: The second judge, as ``LIKENESS_SECOND_EMBEDDER`` names it.
SECOND = "dlib-resnet"

#: Pictures that are examined at a time.
_BATCH = 25


def load(settings: Settings, report: Report = silent) -> FaceEngine:
    """Load the product's engine with both judges; with FaceNet alone, and a line that says so, where dlib is missing.

    Raises:
        BadInput, Unready, WeightsUnusable: As ``FaceEngine.load`` says.
    """
    if settings.second_embedder is None and importlib.util.find_spec("dlib") is None:
        report("no second judge looks: expected dlib, which `pip install 'likeness-qc[second]'` brings")
        return FaceEngine.load(settings, report)
    return FaceEngine.load(settings.model_copy(update={"second_embedder": SECOND}), report)


def examined(pixels: Images, engine: FaceEngine) -> list[Face | None]:
    """Return the one face in each image, None where there is not exactly one."""
    found: list[Face | None] = []
    for start in range(0, len(pixels), _BATCH):
        seen = engine.examine([encode_png(each) for each in pixels[start : start + _BATCH]])
        found += [one.largest if isinstance(one, Sighting) and one.faces == 1 else None for one in seen]
    return found


def second_centroids(faces: Faces, engine: FaceEngine, identities: int) -> Mapping[int, Embedding]:
    """Return the second judge's centroid of each of the first identities: the renormalised mean, unit length (128,).

    Whoever it sees no face of has none; where there is no second judge, nobody has one.
    """
    rows = np.flatnonzero(faces.identities < identities)
    seen: dict[int, list[Embedding]] = {}
    for target, face in zip(faces.identities[rows].tolist(), examined(faces.pixels[rows], engine), strict=True):
        if face is not None and face.second is not None:
            seen.setdefault(target, []).append(face.second)
    return {target: unit(np.mean(vectors, axis=0)) for target, vectors in seen.items()}


def by_second(
    seen: Sequence[Face | None], targets: Sequence[int], centroids: Mapping[int, Embedding]
) -> Identification | None:
    """Compare samples with every identity in the second judge's own space; None where it has nothing to compare.

    Args:
        seen: The face in each sample, n of them.
        targets: Whom each should show, n of them.
        centroids: As ``second_centroids`` returns them.
    """
    row_of = {target: row for row, target in enumerate(sorted(centroids))}
    known = [
        (face.second, row_of[target])
        for face, target in zip(seen, targets, strict=True)
        if face is not None and face.second is not None and target in row_of
    ]
    if not known or len(row_of) < 2:
        return None
    vectors, rows = zip(*known, strict=True)
    return identification(np.stack(vectors), rows, np.stack([centroids[target] for target in row_of]))
