"""From portraits to looks: the landmarks are found again, to a part of a pixel, and everything is measured by them."""

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from streams.adapters.facenet.align import Points, aligned_face, warped
from streams.adapters.facenet.landmarks import LOOKS, Landmarks, points_of, settle
from streams.adapters.facenet.portrait import AROUND, KEPT, PLACE, SIDE, TO_FACE
from streams.core.explain.look import COLUMNS, ROWS, Floats, Look, Measure, Region, outline
from streams.core.explain.tone import lab, linear, typology_angle
from streams.core.faces import Pixels

Grey = npt.NDArray[np.float64]
Square = tuple[float, float, float, float]
"""Left, top, right, bottom of a part of an aligned face of side 1."""

REGIONS: dict[Region, Square] = {
    Region.EYES: (0.18, 0.36, 0.82, 0.56),
    Region.NOSE: (0.36, 0.52, 0.64, 0.72),
    Region.MOUTH: (0.28, 0.73, 0.72, 0.93),
    Region.UPPER_BAND: (0.05, -0.15, 0.95, 0.20),
}
CHEEKS: tuple[Square, ...] = ((0.18, 0.58, 0.34, 0.74), (0.66, 0.58, 0.82, 0.74))
#: The face itself; what lies around it says how bright the picture is.
FACE: Square = (0.12, 0.0, 0.88, 1.0)
#: Levels of grey up to which a pixel is nearly black, and from which it is nearly white (as in ISO/IEC 29794-5).
BLACK, WHITE = 25, 247
#: The linear light that the surroundings of a face are brought to before its tone is read.
_KEY = 0.25
_GAMMA = 2.2
_GREY = np.array([0.299, 0.587, 0.114])  # ITU-R BT.601


def looks(portraits: Sequence[Pixels], landmarks: Landmarks) -> list[Look]:
    """Return how the face of each portrait looks, in order; without the stability of its embedding."""
    if not portraits:
        return []
    places = settle(portraits, [PLACE] * len(portraits), landmarks, looks=LOOKS - 1)
    points = points_of(portraits, places, landmarks)
    return [_look(*each) for each in zip(portraits, points, strict=True)]


def _look(portrait: Pixels, points: Points) -> Look:
    place = aligned_face(points)
    upright = portrait if place is None else warped(portrait, place @ TO_FACE, KEPT)
    regions = np.stack([_small(_part(upright, REGIONS[region])) for region in Region])
    measures = _geometry(points) | _light(upright) | {Measure.SHARPNESS: _sharpness(portrait @ _GREY)}
    return Look({name: value for name, value in measures.items() if np.isfinite(value)}, outline(regions))


def _geometry(points: Points) -> dict[Measure, float]:
    left_eye, right_eye, nose, left_mouth, right_mouth = points
    eyes, mouth = (left_eye + right_eye) / 2, (left_mouth + right_mouth) / 2
    unit = max(1e-6, _length(right_eye - left_eye))
    return {
        Measure.EYE_HEIGHT: _length(nose - eyes) / unit,
        Measure.MOUTH_HEIGHT: _length(mouth - nose) / unit,
        Measure.MOUTH_WIDTH: _length(right_mouth - left_mouth) / unit,
    }


def _light(upright: Pixels) -> dict[Measure, float]:
    grey = upright @ _GREY
    around = np.ones(grey.shape, dtype=bool)
    left, top, right, bottom = _pixels(FACE)
    around[top:bottom, left:right] = False
    surroundings = max(1.0, float(grey[around].mean())) / 255
    skin = np.concatenate([linear(_part(upright, cheek)).reshape(-1, 3) for cheek in CHEEKS]).mean(axis=0)
    lightness, _, yellowness = lab(np.clip(skin * _KEY / surroundings**_GAMMA, 0, 4))
    return {
        Measure.SKIN_TONE: typology_angle(float(lightness), float(yellowness)),
        Measure.BRIGHTNESS: float(np.log2(surroundings)),
        Measure.EXPOSURE: float(((grey <= BLACK) | (grey >= WHITE)).mean()),
    }


def _sharpness(grey: Grey) -> float:
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4.0 * grey[1:-1, 1:-1]
    return float(np.log2(laplacian.var() + 1e-3) - np.log2(grey.var() + 1.0))


def _small(part: Pixels) -> Floats:
    image = Image.fromarray(np.ascontiguousarray(part))
    return np.asarray(image.resize((COLUMNS, ROWS), Image.Resampling.BOX), dtype=np.float32)


def _part(upright: Pixels, square: Square) -> Pixels:
    left, top, right, bottom = _pixels(square)
    return upright[top:bottom, left:right]


def _pixels(square: Square) -> tuple[int, int, int, int]:
    left, top, right, bottom = (round(AROUND + edge * SIDE) for edge in square)
    return left, top, right, bottom


def _length(vector: Points) -> float:
    return float(np.linalg.norm(vector))
