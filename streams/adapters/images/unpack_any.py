"""Files of one's own to pixels, in whatever format Pillow reads. Runs in the decoder process, as ``unpack`` does."""

from functools import cache

from PIL import Image

from streams.adapters.images.unpack import Pixels, Refusal, unpack_as

#: What Pillow reads by starting another program.
_BY_PROGRAMS = frozenset({"EPS"})


def unpack_any(encoded: bytes) -> Pixels | Refusal:
    """Return the pixels of an image in any format, uint8 (H, W, 3), upright; under the limits of ``unpack``."""
    return unpack_as(encoded, _formats())


@cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(sorted(set(Image.OPEN) - _BY_PROGRAMS))
