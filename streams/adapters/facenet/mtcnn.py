"""MTCNN (Zhang et al., "Joint Face Detection and Alignment using Multi-task Cascaded CNNs", 2016) over three networks.

The steps are those of facenet-pytorch, whose weights the networks have, number for number: its resampling, its rounding
of boxes, its three ways to suppress. Only the networks themselves are somebody else's to run, and a candidate that lies
outside its image is dropped, where facenet-pytorch raises.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from streams.adapters.facenet.area import shrunk, squares
from streams.adapters.facenet.nms import Indices, kept
from streams.core.faces import Pixels

Floats = npt.NDArray[np.float32]

Network = Callable[[Floats], Sequence[Floats]]
"""Takes float32 (N, 3, H, W), returns its outputs in the order of facenet-pytorch."""

#: What a cell of the first network sees, in pixels, and how far it is to the next.
CELL, STRIDE = 12, 2
#: Sides of what the second and the third network take.
SIDE_2, SIDE_3 = 24, 48
#: The largest overlaps: among the boxes of one scale, of one image, and of one image at the end.
OVERLAP_SCALE, OVERLAP_IMAGE, OVERLAP_LAST = 0.5, 0.7, 0.7
#: So many crops go through a network at a time: what its layers hand on stays in a core's own cache.
_AT_A_TIME = 32


@dataclass(frozen=True)
class Networks:
    """The three stages: propose, refine, output."""

    propose: Network
    """(N, 3, H, W) to shifts (N, 4, h, w) and probabilities (N, 2, h, w)."""
    refine: Network
    """(N, 3, 24, 24) to shifts (N, 4) and probabilities (N, 2)."""
    output: Network
    """(N, 3, 48, 48) to shifts (N, 4), landmarks (N, 10) and probabilities (N, 2)."""


@dataclass(frozen=True, eq=False)
class _Boxes:
    """Candidates: corners (N, 4), scores (N,), and the image (N,) that each is in."""

    corners: Floats
    scores: Floats
    images: Indices

    def __getitem__(self, chosen: Indices | npt.NDArray[np.bool_]) -> "_Boxes":
        return _Boxes(self.corners[chosen], self.scores[chosen], self.images[chosen])

    def unsuppressed(self, most: float, *, of_smaller: bool = False) -> Indices:
        return kept(self.corners, self.scores, self.images, most, of_smaller=of_smaller)


def detect(
    images: Sequence[Pixels],
    networks: Networks,
    *,
    smallest: int,
    thresholds: tuple[float, float, float],
    factor: float,
) -> list[tuple[Floats, Floats, Floats]]:
    """Return the faces of each image: corners (n, 4), probabilities (n,), landmarks (n, 5, 2); the largest first.

    Args:
        images: Of one size.
        networks: The three stages.
        smallest: The shortest side of a face that is looked for, in pixels.
        thresholds: The least probability at each stage.
        factor: From one scale of the pyramid to the next.
    """
    pixels = np.stack(images).transpose(0, 3, 1, 2).astype(np.float32, order="C")
    boxes = _proposed(pixels, networks.propose, smallest, thresholds[0], factor)
    boxes = _refined(pixels, boxes, networks.refine, thresholds[1])
    boxes, landmarks = _output(pixels, boxes, networks.output, thresholds[2])
    return [_largest_first(boxes, landmarks, image) for image in range(len(images))]


def scales(height: int, width: int, smallest: int, factor: float) -> list[float]:
    """Return by what the image is shrunk so that faces of each size fill the first network's cell.

    >>> [round(scale, 3) for scale in scales(64, 64, 20, 0.709)]
    [0.6, 0.425, 0.302, 0.214]
    """
    found, scale, side = [], CELL / smallest, min(height, width) * (CELL / smallest)
    while side >= CELL:
        found.append(scale)
        scale, side = scale * factor, side * factor
    return found


def _proposed(pixels: Floats, propose: Network, smallest: int, threshold: float, factor: float) -> _Boxes:
    """Look at every scale with the first network; return squares."""
    height, width = pixels.shape[2:]
    found = [_none()]
    shifts = [np.zeros((0, 4), np.float32)]
    for scale in scales(height, width, smallest, factor):
        shrunken = shrunk(pixels, int(height * scale + 1), int(width * scale + 1))
        shift, probability = propose(_normalised(shrunken))
        boxes, moved = _cells(shift, probability[:, 1], scale, threshold)
        staying = boxes.unsuppressed(OVERLAP_SCALE)
        found.append(boxes[staying])
        shifts.append(moved[staying])
    boxes, moved = _joined(found), np.concatenate(shifts)
    staying = boxes.unsuppressed(OVERLAP_IMAGE)
    boxes, moved = boxes[staying], moved[staying]
    return _squared(boxes, _moved(boxes.corners, moved, one=0))


def _cells(shift: Floats, probability: Floats, scale: float, threshold: float) -> tuple[_Boxes, Floats]:
    """Return the cells that show a face, where they lie in the image, and their shifts."""
    images, rows, columns = np.nonzero(probability >= np.float32(threshold))
    # As the reference has it: products in 32 bits, and whole pixels.
    at = np.stack([columns, rows], axis=1).astype(np.float32)
    first = np.floor((STRIDE * at + 1) / np.float32(scale))
    last = np.floor((STRIDE * at + CELL) / np.float32(scale))
    boxes = _Boxes(np.concatenate([first, last], axis=1), probability[images, rows, columns], images)
    return boxes, shift[images, :, rows, columns]


def _refined(pixels: Floats, boxes: _Boxes, refine: Network, threshold: float) -> _Boxes:
    boxes, crops = _cut_out(pixels, boxes, SIDE_2)
    shift, probability = _in_pieces(refine, crops, (4, 2))
    sure = probability[:, 1] > np.float32(threshold)
    boxes, shift = _Boxes(boxes.corners[sure], probability[sure, 1], boxes.images[sure]), shift[sure]
    staying = boxes.unsuppressed(OVERLAP_IMAGE)
    boxes, shift = boxes[staying], shift[staying]
    return _squared(boxes, _moved(boxes.corners, shift, one=1))


def _output(pixels: Floats, boxes: _Boxes, output: Network, threshold: float) -> tuple[_Boxes, Floats]:
    boxes, crops = _cut_out(pixels, boxes, SIDE_3)
    shift, marks, probability = _in_pieces(output, crops, (4, 10, 2))
    sure = probability[:, 1] > np.float32(threshold)
    corners, shift, marks = boxes.corners[sure], shift[sure], marks[sure]
    size = corners[:, None, 2:] - corners[:, None, :2] + 1
    landmarks = np.asarray(size * _points(marks) + corners[:, None, :2] - 1, dtype=np.float32)
    found = _Boxes(_moved(corners, shift, one=1), probability[sure, 1], boxes.images[sure])
    staying = found.unsuppressed(OVERLAP_LAST, of_smaller=True)
    return found[staying], landmarks[staying]


def landmarks(faces: Floats, output: Network) -> Floats:
    """Return eyes, nose and mouth corners (N, 5, 2), in parts of the side, of faces (N, 48, 48, 3), normalised."""
    _, marks, _ = _in_pieces(output, np.ascontiguousarray(faces.transpose(0, 3, 1, 2)), (4, 10, 2))
    return _points(marks)


def _points(marks: Floats) -> Floats:
    """Return what the third network says, every x before every y, as (N, 5, 2)."""
    return np.asarray(marks.reshape(-1, 2, 5).swapaxes(1, 2), dtype=np.float32)


def _largest_first(boxes: _Boxes, landmarks: Floats, image: int) -> tuple[Floats, Floats, Floats]:
    chosen = np.flatnonzero(boxes.images == image)
    corners = boxes.corners[chosen]
    area = (corners[:, 2] - corners[:, 0]) * (corners[:, 3] - corners[:, 1])
    chosen = chosen[np.argsort(area)[::-1]]
    return boxes.corners[chosen], boxes.scores[chosen], landmarks[chosen]


def _cut_out(pixels: Floats, boxes: _Boxes, side: int) -> tuple[_Boxes, Floats]:
    """Return the boxes that have a part within their image, and those parts, each as a square (N, 3, side, side)."""
    height, width = pixels.shape[2:]
    whole = np.trunc(boxes.corners).astype(np.int64)
    left, top = np.maximum(whole[:, 0], 1) - 1, np.maximum(whole[:, 1], 1) - 1
    right, bottom = np.minimum(whole[:, 2], width), np.minimum(whole[:, 3], height)
    within = np.flatnonzero((right > left) & (bottom > top))
    if not len(within):
        return boxes[within], np.zeros((0, 3, side, side), np.float32)
    pieces = [pixels[boxes.images[k], :, top[k] : bottom[k], left[k] : right[k]] for k in within]
    return boxes[within], _normalised(squares(pieces, side))


def _in_pieces(network: Network, crops: Floats, widths: Sequence[int]) -> list[Floats]:
    """Run a network over any number of crops; each output has one row a crop."""
    parts: list[list[Floats]] = [[np.zeros((0, width), np.float32)] for width in widths]
    for start in range(0, len(crops), _AT_A_TIME):
        for part, output in zip(parts, network(crops[start : start + _AT_A_TIME]), strict=True):
            part.append(output)
    return [np.concatenate(part) for part in parts]


def _moved(corners: Floats, shift: Floats, *, one: int) -> Floats:
    """Move each corner by its share of the box's sides; ``one`` where a side counts both its end pixels."""
    size = corners[:, 2:] - corners[:, :2] + np.float32(one)
    return np.asarray(corners + shift * np.concatenate([size, size], axis=1), dtype=np.float32)


def _squared(boxes: _Boxes, corners: Floats) -> _Boxes:
    """Make each box a square of its longer side around its middle."""
    size = corners[:, 2:] - corners[:, :2]
    side = size.max(axis=1, keepdims=True, initial=0)
    first = corners[:, :2] + size * np.float32(0.5) - side * np.float32(0.5)
    return _Boxes(np.concatenate([first, first + side], axis=1), boxes.scores, boxes.images)


def _normalised(pixels: Floats) -> Floats:
    """Return (x - 127.5) / 128."""
    return (pixels - np.float32(127.5)) * np.float32(0.0078125)


def _none() -> _Boxes:
    return _Boxes(np.zeros((0, 4), np.float32), np.zeros(0, np.float32), np.zeros(0, np.intp))


def _joined(boxes: Sequence[_Boxes]) -> _Boxes:
    return _Boxes(
        np.concatenate([one.corners for one in boxes]),
        np.concatenate([one.scores for one in boxes]),
        np.concatenate([one.images for one in boxes]),
    )
