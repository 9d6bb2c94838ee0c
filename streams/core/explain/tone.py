"""Apparent skin tone: the individual typology angle of a colour in CIELAB.

It says how light a rendering is, not what somebody is like: lighting alone moves it by tens of degrees. It is no class.
"""

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]

#: sRGB, linear, to CIE XYZ under D65 (IEC 61966-2-1).
_TO_XYZ = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
_WHITE = np.array([0.9505, 1.0, 1.0890])
#: CIE 15:2004, where the cube root ends and the line begins.
_EPSILON, _KAPPA = 216 / 24389, 24389 / 27


def linear(levels: npt.NDArray[np.uint8]) -> Floats:
    """Return sRGB levels, 0 to 255, as linear light in [0, 1] (IEC 61966-2-1)."""
    values = levels.astype(np.float64) / 255
    return np.asarray(np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4))


def lab(light: Floats) -> Floats:
    """Return linear sRGB (..., 3) as CIELAB (..., 3): L* in [0, 100] for light in [0, 1], a*, b* (CIE 15:2004).

    >>> lab(np.ones(3)).round(1).tolist()[0]
    100.0
    """
    xyz = light @ _TO_XYZ.T / _WHITE
    f = np.where(xyz > _EPSILON, np.cbrt(xyz), (_KAPPA * xyz + 16) / 116)
    return np.stack(
        [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])],
        axis=-1,
    )


def typology_angle(lightness: float, yellowness: float) -> float:
    """Return atan2(L* - 50, b*) in degrees (Chardon et al., 1991); larger is lighter.

    >>> typology_angle(65, 15)
    45.0
    """
    return float(np.degrees(np.arctan2(lightness - 50, yellowness)))
