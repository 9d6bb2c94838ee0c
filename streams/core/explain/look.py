"""How one picture of a face looks: what of it can be told to a person, in numbers."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

#: How a look is measured. Looks of another kind do not compare: raise the number with every change of a measure.
KIND = "look-1"


class Measure(StrEnum):
    """What is one number; its value is the explanation's name."""

    EYE_HEIGHT = "eye-height"
    """From between the eyes down to the nose, in distances between the eyes."""
    MOUTH_HEIGHT = "mouth-height"
    """From the nose down to between the corners of the mouth, in distances between the eyes."""
    MOUTH_WIDTH = "mouth-width"
    """From corner to corner, in distances between the eyes."""
    SKIN_TONE = "skin-tone"
    """Individual typology angle of the cheeks as they are rendered, the picture's brightness taken out; degrees."""
    BRIGHTNESS = "brightness"
    """Of what is around the face: log2 of its mean grey, in [-8, 0]."""
    EXPOSURE = "exposure"
    """Share of pixels that are nearly black or nearly white, in [0, 1]."""
    SHARPNESS = "sharpness"
    """log2 of the variance of the Laplacian over that of the grey."""
    STABILITY = "stability"
    """Of the embedding, where parts of the network drop out; in [0, 1], larger is more stable."""


class Region(StrEnum):
    """A part of the face that is compared as a picture; its value is the explanation's name."""

    EYES = "eyes"
    NOSE = "nose"
    MOUTH = "mouth"
    UPPER_BAND = "upper-band"
    """Forehead and the boundary of the hair."""


#: A region's picture: so many rows and columns of three colours.
ROWS, COLUMNS = 6, 8
#: Numbers of one region.
VALUES = ROWS * COLUMNS * 3
#: Numbers of all regions of a look.
DIMENSION = len(Region) * VALUES


@dataclass(frozen=True, eq=False)
class Look:
    """How one picture of a face looks."""

    measures: Mapping[Measure, float]
    """Those that could be measured; all finite."""
    regions: Floats
    """Shape (len(Region), VALUES), in the order of ``Region``: less its mean colour, at unit length."""


def outline(pixels: Floats) -> Floats:
    """Return pictures of regions (..., ROWS, COLUMNS, 3) as (..., VALUES): less their mean colour, at unit length.

    What is left does not change with brightness, contrast or tint. A region of one colour is all zeros.
    """
    values = pixels.astype(np.float64)
    values = values - values.mean(axis=(-3, -2), keepdims=True)
    values = values.reshape(*values.shape[:-3], VALUES)
    length = np.linalg.norm(values, axis=-1, keepdims=True)
    return np.asarray(np.where(length > 1e-6, values / np.maximum(length, 1e-6), 0.0), dtype=np.float32)
