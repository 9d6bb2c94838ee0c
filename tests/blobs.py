"""Faces that are none: blobs of a colour a person, for networks that need something to learn in no time."""

import numpy as np

from generators.data import Faces, Floats


def unit(rows: Floats) -> Floats:
    """Return rows at unit length."""
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


def blobs(people: int = 6, each: int = 2) -> Faces:
    """Return ``each`` blobs of each of ``people``, the same every time."""
    draw = np.random.default_rng(0)
    colours = draw.integers(40, 215, (people, 1, 3)).repeat(each, axis=1).reshape(-1, 1, 1, 3)
    y, x = np.mgrid[:64, :64]
    centres = draw.integers(24, 40, (people * each, 2))
    within = [np.hypot(y - a, x - b)[..., None] < 16 for a, b in centres]
    pixels = np.stack([np.where(inside, colour, 20) for inside, colour in zip(within, colours, strict=True)])
    embeddings = unit(unit(draw.standard_normal((people, 128))).repeat(each, axis=0) + 0.01)
    boxes = np.tile(np.array([8, 8, 56, 56], dtype=np.int16), (people * each, 1))
    return Faces.of(pixels.astype(np.uint8), boxes, embeddings, [f"person-{i // each}" for i in range(people * each)])
