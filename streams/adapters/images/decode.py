"""Encoded images to pixels, in this process; and pixels to PNG."""

import io
from collections.abc import Callable, Iterable, Iterator

import numpy as np
from PIL import Image

from streams.adapters.images.unpack import unpack
from streams.core.faces import Pixels, Undecodable
from streams.events import IMAGE_BYTES, DeadReason

Decode = Callable[[Iterable[bytes]], Iterator[Pixels | Undecodable]]
"""Decodes images one after the other, in order."""


def decode(encoded: bytes) -> Pixels | Undecodable:
    """Return the pixels of a PNG, JPEG or WebP image, upright, or say why not; see ``unpack``."""
    if refused := too_many_bytes(encoded):
        return refused
    unpacked = unpack(encoded)
    if isinstance(unpacked, np.ndarray):
        return unpacked
    return Undecodable(DeadReason(unpacked.reason), unpacked.detail, unpacked.exception)


def decode_here(encoded: Iterable[bytes]) -> Iterator[Pixels | Undecodable]:
    """Decode in this process: what an image does to its reader, it does to this process."""
    return map(decode, encoded)


def too_many_bytes(encoded: bytes) -> Undecodable | None:
    """Refuse what is too large to be read at all."""
    if len(encoded) <= IMAGE_BYTES:
        return None
    return Undecodable(DeadReason.IMAGE_TOO_LARGE, f"{len(encoded)} bytes; allowed are {IMAGE_BYTES}")


def encode_png(pixels: Pixels) -> bytes:
    """Return the pixels as PNG: lossless, and the same pixels always give the same bytes.

    Raises:
        ValueError: If it is not uint8 of shape (H, W, 3).
    """
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3 or 0 in pixels.shape:
        raise ValueError(f"expected uint8 of shape (H, W, 3), got {pixels.dtype} of shape {pixels.shape}")
    sink = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(sink, "PNG")
    return sink.getvalue()
