"""Non-maximum suppression: of boxes that overlap, the one with the highest score stays."""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Indices = npt.NDArray[np.intp]


def kept(boxes: Floats, scores: Floats, groups: Indices, most: float, *, of_smaller: bool = False) -> Indices:
    """Return the indices of the boxes that stay, by falling score; boxes of different groups do not meet.

    Args:
        boxes: (N, 4): left, top, right, bottom.
        scores: (N,).
        groups: (N,): which image a box is in.
        most: The largest overlap that two boxes may have and both stay.
        of_smaller: Overlap is the share of the smaller box, and sides count both their pixels; else it is
            intersection over union.
    """
    order = np.argsort(-scores, kind="stable")
    one = 1.0 if of_smaller else 0.0
    staying = np.zeros(len(boxes), dtype=bool)
    for group in np.unique(groups):
        chosen = order[groups[order] == group]
        overlaps = _overlaps(boxes[chosen], one, of_smaller=of_smaller) > most
        open_ = np.ones(len(chosen), dtype=bool)
        for i in range(len(chosen)):
            if open_[i]:
                staying[chosen[i]] = True
                open_ &= ~overlaps[i]
    return np.asarray(order[staying[order]], dtype=np.intp)


def _overlaps(boxes: Floats, one: float, *, of_smaller: bool) -> Floats:
    """Return the overlap of every box with every other, (N, N)."""
    left, top, right, bottom = boxes.T
    area = (right - left + one) * (bottom - top + one)
    width = np.minimum(right[:, None], right) - np.maximum(left[:, None], left) + one
    height = np.minimum(bottom[:, None], bottom) - np.maximum(top[:, None], top) + one
    common = np.maximum(width, 0) * np.maximum(height, 0)
    whole = np.minimum(area[:, None], area) if of_smaller else area[:, None] + area - common
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.asarray(common / whole, dtype=np.float32)
