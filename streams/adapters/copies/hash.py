"""Copies by a 256-bit perceptual hash: of the aligned face, which finds what was cropped or turned, and of the whole.

The hash is ImageHash's ``phash``: which of the lowest 16 x 16 frequencies of 64 x 64 grey pixels are over their median.
"""

from collections.abc import Sequence

import numpy as np
from PIL import Image

from streams.adapters.copies.descriptor import Views
from streams.adapters.facenet.align import Affine, warped
from streams.adapters.facenet.detector import DETECTOR
from streams.adapters.facenet.landmarks import LOOKS, Landmarks, settle
from streams.adapters.facenet.portrait import PLACE, SIDE
from streams.core.faces import Pixels
from streams.core.imprints import Descriptor, Imprint, Imprints, Measure
from streams.errors import Unready

#: Frequencies along each side; their square is the number of bits.
SIZE = 16
#: Side of the aligned face that is hashed, in pixels.
ALIGNED = 160
#: Side of what is kept of a whole picture, in pixels: what the hash looks at.
WHOLE = 64

HASH = Descriptor(
    name="phash-256",
    weights="",
    dimension=SIZE * SIZE,
    measure=Measure.BITS,
    views=(
        f"{DETECTOR}; landmarks again at {LOOKS} looks, Umeyama to ArcFace's template,"
        f" {SIDE} x {SIDE} and then {ALIGNED} x {ALIGNED}, bilinear;"
        f" whole picture, {WHOLE} x {WHOLE}, Lanczos"
    ),
)


class CopyHash:
    """Implements ``CopyDescriptor``."""

    what = HASH

    def __init__(self, landmarks: Landmarks) -> None:
        """Take what finds a face's landmarks.

        Raises:
            Unready: If ImageHash is not installed.
        """
        try:
            import imagehash
        except ImportError as error:
            raise Unready(
                f"expected ImageHash to recognise copies, got {error}; run `pip install 'likeness-qc[engine]'`"
            ) from error
        self._landmarks = landmarks
        self._hash = imagehash.phash

    def views(self, picture: Pixels, portrait: Pixels | None) -> Views:
        """Return the whole picture, 64 x 64, and where there is a face, its portrait."""
        small = Image.fromarray(picture).resize((WHOLE, WHOLE), Image.Resampling.LANCZOS)
        whole = np.array(small, dtype=np.uint8)
        return (whole,) if portrait is None else (whole, portrait)

    def imprints(self, pictures: Sequence[Views], *, mirrored: bool = False) -> list[Imprints]:
        """Return the bits of each view as 0 and 1, float32 (256,)."""
        faces = [views[1] for views in pictures if len(views) > 1]
        places = iter(settle(faces, [PLACE] * len(faces), self._landmarks))
        made = []
        for whole, *face in pictures:
            upright = [whole, *(_cut_out(one, next(places)) for one in face)]
            seen = [each for one in upright for each in ([one, one[:, ::-1]] if mirrored else [one])]
            made.append(tuple(self._imprint(one) for one in seen))
        return made

    def _imprint(self, view: Pixels) -> Imprint:
        bits = self._hash(Image.fromarray(np.ascontiguousarray(view)), hash_size=SIZE).hash
        return np.asarray(bits, dtype=np.float32).ravel()


def _cut_out(picture: Pixels, aligned: Affine) -> Pixels:
    return warped(picture, aligned @ np.diag([1 / ALIGNED, 1 / ALIGNED, 1]), ALIGNED)
