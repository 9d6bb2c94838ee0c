"""A decoder like any other, but for one picture: it dies of it. Runs in a decoder process."""

import os

from streams.adapters.images.unpack import Pixels, Refusal
from streams.adapters.images.unpack import unpack as plain

MARK = b"kill your decoder"


def unpack(encoded: bytes) -> Pixels | Refusal:
    """Decode, or die."""
    if MARK in encoded:
        os.abort()
    return plain(encoded)
