"""Eyes, nose and mouth found again in a face that is in its place already, to a part of a pixel.

A detector's landmarks depend on the box that it happened to look into: the same picture, saved once more, gives others,
some pixels away. Here the face is looked at where its own landmarks put it, again and again: then it no longer matters
where it stood in the picture, how large and how far turned. Its mirror image is looked at too, so that left and right
give the same, and both at one brightness and contrast.
"""

from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from streams.adapters.facenet.align import Affine, Points, aligned_face, moved, warped
from streams.core.faces import Pixels

Floats = npt.NDArray[np.float32]

Landmarks = Callable[[Floats], Floats]
"""Takes faces, float32 (N, 48, 48, 3), normalised; returns eyes, nose and mouth corners (N, 5, 2) in parts of the side.

MTCNN's last network.
"""

#: What the network takes, in pixels.
SIDE = 48
#: How often a face is looked at: the first look takes most of the difference away, a third one hardly any.
LOOKS = 2
#: The square of an aligned face of side 1 that the network sees: left, top and side. Such are a detector's own boxes,
#: in the mean over faces of the DigiFace DCGAN.
BOX = (0.068, 0.113, 0.853)

#: The points of a mirrored face in the order of an upright one.
_MIRRORED = [1, 0, 2, 4, 3]
#: Standard deviation of the pixels as the network takes them.
_CONTRAST = 0.43


def settle(
    pictures: Sequence[Pixels], starts: Sequence[Affine], landmarks: Landmarks, looks: int = LOOKS
) -> list[Affine]:
    """Return for each picture what takes an aligned face of side 1 to where it is seen.

    Args:
        pictures: uint8 (H, W, 3), each with one face.
        starts: For each picture the same, from a detector's landmarks.
        landmarks: What finds the points.
        looks: How often each is looked at.
    """
    found = list(starts)
    for _ in range(looks if found else 0):
        seen = [aligned_face(one) for one in points_of(pictures, found, landmarks)]
        found = [before if after is None else after for before, after in zip(found, seen, strict=True)]
    return found


def points_of(pictures: Sequence[Pixels], places: Sequence[Affine], landmarks: Landmarks) -> list[Points]:
    """Return the five points of each face, in pixels of its picture; ``places`` says where it is seen, as ``settle``.

    There must be a picture at least.
    """
    frames = [_frame(one) for one in places]
    faces = np.stack([warped(*each, SIDE) for each in zip(pictures, frames, strict=True)])
    upright, mirrored = np.split(landmarks(_evened(np.concatenate([faces, faces[:, :, ::-1]]))), 2)
    back = mirrored[:, _MIRRORED] * [-1, 1] + [1, 0]
    points = (upright + back) / 2 * SIDE
    return [moved(each, frame) for each, frame in zip(points, frames, strict=True)]


def _frame(aligned: Affine) -> Affine:
    """Return what takes the pixels that the network sees to where they are in the picture."""
    left, top, side = BOX
    within = np.array([[side / SIDE, 0, left], [0, side / SIDE, top], [0, 0, 1]])
    return np.asarray(aligned @ within)


def _evened(faces: Pixels) -> Floats:
    """Return faces at one brightness and contrast, as the network takes them."""
    values = faces.astype(np.float32)
    values -= values.mean(axis=(1, 2, 3), keepdims=True)
    deviation = values.std(axis=(1, 2, 3), keepdims=True)
    return np.asarray(values * (_CONTRAST / np.maximum(deviation, 1.0)), dtype=np.float32)
