"""A portrait: what is kept of a picture to tell copies and to say how its face looks. Small and upright.

With a quarter of its side around it, so that it can still be turned and shifted.
"""

from collections.abc import Sequence

import numpy as np

from streams.adapters.facenet.align import aligned_face, warped
from streams.core.faces import Pixels

#: Side of the aligned face, in pixels, and how much is kept around it.
SIDE, AROUND = 84, 21
#: Side of the portrait, in pixels.
KEPT = SIDE + 2 * AROUND

#: Takes an aligned face of side 1 to where it is seen in a portrait, and back.
PLACE = np.array([[SIDE, 0, AROUND], [0, SIDE, AROUND]], dtype=np.float64)
TO_FACE = np.array([[1, 0, -AROUND], [0, 1, -AROUND], [0, 0, SIDE]]) / SIDE


def portrait(picture: Pixels, landmarks: Sequence[tuple[float, float]]) -> Pixels | None:
    """Return uint8 (126, 126, 3) of the face that has these five landmarks; None where they are in no face."""
    aligned = aligned_face(np.array(landmarks, dtype=np.float64)) if landmarks else None
    return None if aligned is None else warped(picture, aligned @ TO_FACE, KEPT)
