"""Reasons as bits of one number, so that the verdicts on many samples are compared at once."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt

from streams.events import ReasonCode

Masks = npt.NDArray[np.uint16]
"""Shape (n,): each reason that was given is one bit; 0 = accepted."""

_CODES = tuple(ReasonCode)
_BITS = {code: np.uint16(1 << place) for place, code in enumerate(_CODES)}


def bit(code: ReasonCode) -> np.uint16:
    """Return the bit of one reason."""
    return _BITS[code]


def mask(codes: Iterable[ReasonCode]) -> int:
    """Return the bits of several reasons, each counted once.

    >>> codes(mask([ReasonCode.MISMATCH, ReasonCode.COPY, ReasonCode.COPY]))
    (<ReasonCode.COPY: 'copy'>, <ReasonCode.MISMATCH: 'mismatch'>)
    """
    together = 0
    for code in codes:
        together |= int(_BITS[code])
    return together


def codes(mask: int) -> tuple[ReasonCode, ...]:
    """Return the reasons of a mask, the gravest first."""
    return tuple(code for code in _CODES if mask & int(_BITS[code]))


def primary(masks: Masks) -> npt.NDArray[np.int64]:
    """Return the place of each mask's gravest reason in ``ReasonCode``; -1 where it has none.

    >>> primary(np.array([mask([ReasonCode.MISMATCH, ReasonCode.COPY]), 0], dtype=np.uint16)).tolist()
    [1, -1]
    """
    lowest = masks & (~masks + np.uint16(1))
    places: npt.NDArray[np.int64] = np.frexp(lowest.astype(np.float64))[1].astype(np.int64) - 1
    return places
