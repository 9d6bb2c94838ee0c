"""Finds faces: MTCNN (Zhang et al., 2016) of facenet-pytorch, with what it raises on odd images turned into "none".

The detector is part of every embedding space: whatever changes a box here must change ``DETECTOR``.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.adapters.facenet_weights import FACENET_PYTORCH
from streams.core.faces import Pixels
from streams.errors import Unready

#: The least probability, the detector's own, of something that counts as a face.
PROBABILITY = 0.9

#: A face is looked for down to this part of the image's shorter side: smaller ones are background, and finding them
#: takes most of the time.
SMALLEST_PART = 12

#: No face is looked for below this many pixels: the network's own limit in practice.
SMALLEST_PIXELS = 20

#: The three networks' probabilities, and the step of the image pyramid: facenet-pytorch's defaults.
THRESHOLDS = (0.6, 0.7, 0.7)
FACTOR = 0.709

DETECTOR = (
    f"facenet-pytorch {FACENET_PYTORCH} MTCNN, thresholds {THRESHOLDS}, factor {FACTOR}, smallest face"
    f" max({SMALLEST_PIXELS} px, shorter side / {SMALLEST_PART}), probability >= {PROBABILITY}"
)

#: The most pixels that the detector sees at a time: it holds each as three floats.
_PIXELS_AT_A_TIME = 4_000_000


@dataclass(frozen=True)
class Found:
    """One face in an image."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels, clipped to the image; at least one whole pixel."""
    landmarks: tuple[tuple[float, float], ...]
    """Eyes, nose, mouth corners: five (x, y) in pixels."""
    probability: float


class Detector:
    """MTCNN on one thread; not to be shared between threads."""

    def __init__(self) -> None:
        """Load the three networks, which come with facenet-pytorch."""
        try:
            from facenet_pytorch import MTCNN
        except ImportError as error:
            raise Unready(
                f"expected facenet-pytorch to find faces, got {error}; run `pip install 'likeness-qc[faces]'`"
            ) from error
        self._mtcnn: Any = MTCNN(thresholds=list(THRESHOLDS), factor=FACTOR, select_largest=True)

    def find(self, images: Sequence[Pixels]) -> list[list[Found]]:
        """Return the faces of each image, in order, the largest first.

        Images of one size are seen together, which is faster. In about one image of a hundred the company moves a
        box by a pixel or two: a probability that lies at a threshold falls on its other side.
        """
        found: list[list[Found]] = [[] for _ in images]
        for chosen in _buckets(images):
            for index, faces in zip(chosen, self._in_bucket([images[i] for i in chosen]), strict=True):
                found[index] = faces
        return found

    def _in_bucket(self, images: list[Pixels]) -> list[list[Found]]:
        height, width, _ = images[0].shape
        self._mtcnn.min_face_size = max(SMALLEST_PIXELS, min(height, width) // SMALLEST_PART)
        try:
            boxes, probabilities, points = self._mtcnn.detect(np.stack(images), landmarks=True)
        except (RuntimeError, ValueError, IndexError) as error:
            if "memory" in str(error):
                raise
            # facenet-pytorch trips over candidates that lie outside an image. Alone, only that image has no face.
            return [[]] if len(images) == 1 else [self._in_bucket([image])[0] for image in images]
        each = zip(boxes, probabilities, points, strict=True)
        return [_faces(*one, height=height, width=width) for one in each]


def _buckets(images: Sequence[Pixels]) -> Iterator[list[int]]:
    """Yield the indices of images that can be seen together: of one size, and not too many pixels."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        if min(image.shape[:2]) >= SMALLEST_PIXELS:
            by_size[image.shape].append(index)
    for (height, width, _), indices in by_size.items():
        many = max(1, _PIXELS_AT_A_TIME // (height * width))
        yield from (indices[start : start + many] for start in range(0, len(indices), many))


def _faces(boxes: Any, probabilities: Any, points: Any, *, height: int, width: int) -> list[Found]:
    """Return what counts as a face. The arrays may be of objects, or None where nothing was found."""
    if boxes is None:
        return []
    corners: npt.NDArray[np.float64] = np.asarray(boxes, dtype=np.float64).reshape(-1, 4)
    marks: npt.NDArray[np.float64] = np.asarray(points, dtype=np.float64).reshape(-1, 5, 2)
    faces = []
    for corner, mark, probability in zip(corners, marks, probabilities, strict=True):
        if not (np.isfinite(corner).all() and np.isfinite(mark).all() and probability >= PROBABILITY):
            continue
        left, top = max(0.0, float(corner[0])), max(0.0, float(corner[1]))
        right, bottom = min(float(width), float(corner[2])), min(float(height), float(corner[3]))
        if int(right) > int(left) and int(bottom) > int(top):
            landmarks = tuple((float(x), float(y)) for x, y in mark)
            faces.append(Found((left, top, right, bottom), landmarks, min(1.0, float(probability))))
    return faces
