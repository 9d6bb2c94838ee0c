"""What the families learn from: faces whose identity is known, as arrays, split by identity.

Each face comes with its FaceNet embedding, made once by the product's own engine, and each identity with the centroid
of its faces. Faces without an embedding are not kept: what the engine cannot see, it cannot judge.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt

from streams.errors import BadInput
from streams.replacing import replacing

Floats = npt.NDArray[np.float32]
Pixels = npt.NDArray[np.uint8]
Indices = npt.NDArray[np.int64]

#: Side of the images that the families learn, in pixels.
SIDE = 64

#: One identity in so many is kept out of training. The name decides, so that more data moves nobody across.
HELD_OUT = 12


@dataclass(frozen=True, eq=False)
class Faces:
    """N faces of I identities. Rows of one identity lie beside each other."""

    pixels: Pixels
    """RGB, shape (N, 64, 64, 3)."""
    boxes: npt.NDArray[np.int16]
    """Where the product's detector cuts: left, top, right, bottom in pixels, shape (N, 4)."""
    embeddings: Floats
    """Unit length, shape (N, 128)."""
    identities: Indices
    """Index of the identity of each face, shape (N,)."""
    names: npt.NDArray[np.str_]
    """The identities' names, shape (I,)."""
    centroids: Floats
    """The renormalised mean embedding of each identity, shape (I, 128)."""

    @classmethod
    def of(cls, pixels: Pixels, boxes: npt.NDArray[np.int16], embeddings: Floats, labels: Sequence[str]) -> Self:
        """Gather faces by their identity's name.

        Raises:
            BadInput: If there are none.
        """
        if not labels:
            raise BadInput("expected faces, got none: no image shows exactly one face that can be found")
        names, identities = np.unique(np.array(labels), return_inverse=True)
        order = np.argsort(identities, kind="stable")
        sums = np.zeros((len(names), embeddings.shape[1]))
        np.add.at(sums, identities, embeddings.astype(np.float64))
        centroids = (sums / np.linalg.norm(sums, axis=1, keepdims=True)).astype(np.float32)
        return cls(pixels[order], boxes[order], embeddings[order], identities[order].astype(np.int64), names, centroids)

    def __len__(self) -> int:
        """Return N."""
        return len(self.pixels)

    @property
    def sha256(self) -> str:
        """Digest of all that training sees."""
        digest = hashlib.sha256()
        for field in fields(self):
            values = getattr(self, field.name)
            digest.update(f"{field.name} {values.dtype.str} {values.shape}\n".encode())
            digest.update(np.ascontiguousarray(values).tobytes())
        return digest.hexdigest()

    def split(self) -> tuple[Self, Self]:
        """Return those of the identities to train on, and those that are kept out. Nobody is in both.

        Raises:
            BadInput: If either side is empty.
        """
        out = np.array([held_out(str(name)) for name in self.names])
        if out.all() or not out.any():
            raise BadInput(f"expected identities enough for training and for what is kept out, got {len(out)}")
        return self._only(~out), self._only(out)

    def _only(self, kept: npt.NDArray[np.bool_]) -> Self:
        rows = kept[self.identities]
        new = np.cumsum(kept) - 1  # old index -> new index
        return type(self)(
            self.pixels[rows],
            self.boxes[rows],
            self.embeddings[rows],
            new[self.identities[rows]].astype(np.int64),
            self.names[kept],
            self.centroids[kept],
        )


def held_out(name: str) -> bool:
    """Return whether the identity of that name is kept out of training.

    >>> sum(held_out(f"synthetic-{number}") for number in range(1200))
    95
    """
    return hashlib.sha256(name.encode()).digest()[0] % HELD_OUT == 0


def save(faces: Faces, file: Path) -> None:
    """Write the faces, whole or not at all."""
    file.parent.mkdir(parents=True, exist_ok=True)
    with replacing(file) as part, part.open("wb") as opened:
        np.savez_compressed(opened, **{field.name: getattr(faces, field.name) for field in fields(faces)})


def read(file: Path) -> Faces:
    """Read what ``save`` wrote.

    Raises:
        BadInput: If the file holds something else.
    """
    try:
        with np.load(file, allow_pickle=False) as found:
            return Faces(**{field.name: found[field.name] for field in fields(Faces)})
    except (OSError, ValueError, KeyError) as error:
        raise BadInput(f"expected faces in {file}, got {error}: delete it, it is made again") from error


def joined(parts: Sequence[Faces]) -> Faces:
    """Return the faces of all parts; an identity may have faces in several.

    Raises:
        BadInput: If there are none.
    """
    labels = [str(part.names[index]) for part in parts for index in part.identities]
    if not labels:
        raise BadInput("expected faces, got none: no image shows exactly one face that can be found")
    return Faces.of(
        np.concatenate([part.pixels for part in parts]),
        np.concatenate([part.boxes for part in parts]),
        np.concatenate([part.embeddings for part in parts]),
        labels,
    )
