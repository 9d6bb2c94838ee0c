"""Finds faces with MTCNN (Zhang et al., 2016), whichever engine runs its networks.

The detector is part of every embedding space: whatever changes a box here must change ``DETECTOR``.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.adapters.facenet.weights import FACENET_PYTORCH
from streams.core.faces import Pixels

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


Floats = npt.NDArray[np.float32]

Detect = Callable[[Sequence[Pixels], int], Sequence[tuple[Floats, Floats, Floats]]]
"""Takes images of one size and the shortest side of a face that is looked for, in pixels.

Returns of each image the corners (n, 4), probabilities (n,) and landmarks (n, 5, 2) of its faces, the largest first.
"""


@dataclass(frozen=True)
class Found:
    """One face in an image."""

    box: tuple[float, float, float, float]
    """Left, top, right, bottom in pixels, clipped to the image; at least one whole pixel."""
    landmarks: tuple[tuple[float, float], ...]
    """Eyes, nose, mouth corners: five (x, y) in pixels."""
    probability: float


class Detector:
    """Looks for faces in images of any sizes; not to be shared between threads."""

    def __init__(self, detect: Detect) -> None:
        """Take what detects faces in images of one size."""
        self._detect = detect

    def find(self, images: Sequence[Pixels]) -> list[list[Found]]:
        """Return the faces of each image, in order, the largest first.

        Images of one size are seen together, which is faster. In about one image of a hundred the company moves a
        box by a pixel or two: a probability that lies at a threshold falls on its other side.
        """
        found: list[list[Found]] = [[] for _ in images]
        for chosen in _buckets(images):
            height, width, _ = images[chosen[0]].shape
            smallest = max(SMALLEST_PIXELS, min(height, width) // SMALLEST_PART)
            detected = self._detect([images[i] for i in chosen], smallest)
            for index, faces in zip(chosen, detected, strict=True):
                found[index] = _faces(*faces, height=height, width=width)
        return found


def _buckets(images: Sequence[Pixels]) -> Iterator[list[int]]:
    """Yield the indices of images that can be seen together: of one size, and not too many pixels."""
    by_size: dict[tuple[int, ...], list[int]] = defaultdict(list)
    for index, image in enumerate(images):
        if min(image.shape[:2]) >= SMALLEST_PIXELS:
            by_size[image.shape].append(index)
    for (height, width, _), indices in by_size.items():
        many = max(1, _PIXELS_AT_A_TIME // (height * width))
        yield from (indices[start : start + many] for start in range(0, len(indices), many))


def _faces(corners: Floats, probabilities: Floats, landmarks: Floats, *, height: int, width: int) -> list[Found]:
    """Return what counts as a face."""
    faces = []
    for corner, probability, marks in zip(corners, probabilities, landmarks, strict=True):
        if not (np.isfinite(corner).all() and np.isfinite(marks).all() and probability >= PROBABILITY):
            continue
        left, top = max(0.0, float(corner[0])), max(0.0, float(corner[1]))
        right, bottom = min(float(width), float(corner[2])), min(float(height), float(corner[3]))
        if int(right) > int(left) and int(bottom) > int(top):
            points = tuple((float(x), float(y)) for x, y in marks)
            faces.append(Found((left, top, right, bottom), points, min(1.0, float(probability))))
    return faces
