"""What the judges say of real faces: the most that can be expected of a family that learned from such faces."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from generators import data_sources
from generators.data import Faces
from generators.evaluate import Samples, figures
from streams.adapters.faces.engine import FaceEngine
from streams.core.faces import Embedding
from streams.settings import Settings

#: How far the real faces wander from their anchors, in [0, 1].
STRENGTHS = (0.1, 0.2)


def ceilings(
    faces: Faces,
    engine: FaceEngine,
    second: Mapping[int, Embedding],
    settings: Settings,
    *,
    identities: int,
    each: int,
) -> list[dict[str, Any]]:
    """Judge more faces of the first synthetic identities, drawn from the network that all their faces come from.

    Args:
        faces: The people who were kept out; their centroids are of other faces than those that are drawn.
        engine: The judge, or both.
        second: The second judge's centroids of them.
        settings: Where the network's weights are.
        identities: How many people.
        each: How many faces of each, at each strength.

    Returns:
        Figures, as of a family, with the strength before them.

    Raises:
        Unready, WeightsUnusable: If the network's weights cannot be had.
    """
    targets = np.arange(min(identities, len(faces.names))).repeat(each)
    names = [str(faces.names[target]) for target in targets]
    told = []
    for strength in STRENGTHS:
        drawn = Samples(data_sources.walked(names, strength, settings), targets, None)
        judged = figures("digiface_dcgan", 0, drawn, faces, engine, second=second).as_json()
        del judged["family"], judged["step"], judged["copy_rate"]
        told.append({"strength": strength, **judged})
    return told
