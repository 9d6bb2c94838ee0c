"""Encoded images to sightings, on the calling thread: decode, detect, cut out, embed.

This is where a worker spends its time. The examiners run it: in a thread, or in a child process of its own.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from PIL import Image

from streams.adapters.decode import Decode, decode_here
from streams.adapters.detector import DETECTOR, Detector, Found
from streams.adapters.face_networks import FaceNetworks
from streams.adapters.facenet_weights import Published, published
from streams.adapters.self_check import self_check
from streams.core.faces import Embedding, EmbeddingSpace, Examined, Face, Pixels, Sighting, Undecodable
from streams.core.similarity import unit
from streams.settings import Settings
from streams.wheels import Report, silent

Floats = npt.NDArray[np.float32]

#: Side of the crop that FaceNet takes, in pixels.
SIDE = 160

#: facenet-pytorch's own way with a PIL image: corners cut down to whole pixels, then Pillow's bilinear, which averages
#: when it shrinks. (Its ways with arrays and tensors are area averages, and move an embedding.)
ALIGNMENT = f"box, margin 0, clipped, corners truncated, {SIDE} x {SIDE}, Pillow bilinear"

#: The most pixels that are held decoded at a time.
_PIXELS_HELD = 16_000_000


@dataclass(frozen=True, eq=False)
class _Seen:
    """The largest face of an image, cut out but not yet embedded."""

    faces: int
    largest: Found
    crop: Pixels


def embedding_space(settings: Settings) -> EmbeddingSpace:
    """Return the space that the settings name. Loads nothing and needs no torch; hashes a file that was brought."""
    return _space(published(settings))


class FaceEngine:
    """Images to sightings; used by one thread at a time."""

    def __init__(self, networks: FaceNetworks, decode: Decode = decode_here) -> None:
        """Take loaded networks; ``load`` makes them.

        ``decode`` turns images into pixels: here, or where bytes that kill their reader kill nobody else.
        """
        self._decode = decode
        self._detector = Detector(networks.detect)
        self._networks = networks
        self.space = _space(networks.what)

    @classmethod
    def load(cls, settings: Settings, report: Report = silent, decode: Decode = decode_here) -> Self:
        """Load the engine and the networks that the settings name; blocks, for minutes where they must be fetched.

        Raises:
            BadInput, WeightsUnusable: As the engine's ``load`` says.
            Unready: So too, or if the engine computes something else than it should.
        """
        if settings.engine == "torch":
            from streams.adapters.torch_networks import load
        else:
            from streams.adapters.onnx_networks import load
        engine = cls(load(settings, report), decode)
        self_check(engine.examine, engine.space.embedder, settings.engine)
        return engine

    def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order; the faces of all are embedded in one batch."""
        seen: list[_Seen | Examined] = []
        for group in _groups(self._decode(encoded)):
            seen += self._look(group)
        crops = [each.crop for each in seen if isinstance(each, _Seen)]
        embeddings = iter(self._embed(np.stack(crops)) if crops else ())
        return [_sighting(each, next(embeddings)) if isinstance(each, _Seen) else each for each in seen]

    def _look(self, group: Sequence[Pixels | Undecodable]) -> list[_Seen | Examined]:
        found = iter(self._detector.find([each for each in group if not isinstance(each, Undecodable)]))
        looked: list[_Seen | Examined] = []
        for each in group:
            if isinstance(each, Undecodable):
                looked.append(each)
            elif faces := next(found):
                looked.append(_Seen(len(faces), faces[0], cut_out(each, faces[0].box)))
            else:
                looked.append(Sighting(0, None))
        return looked

    def _embed(self, crops: Pixels) -> Floats:
        """Embed crops, uint8 (N, 160, 160, 3), as float32 (N, d)."""
        return self._networks.embed(whitened(crops) if self._networks.what.whitened else standardised(crops))


def whitened(crops: Pixels) -> Floats:
    """Return (x - mean) / max(std, 1 / sqrt(n)) of each crop over its n values, as FaceNet's authors' code had it."""
    values = crops.astype(np.float64)
    mean = values.mean(axis=(1, 2, 3), keepdims=True)
    deviation = values.std(axis=(1, 2, 3), keepdims=True)
    return np.asarray((values - mean) / np.maximum(deviation, values[0].size ** -0.5), dtype=np.float32)


def standardised(crops: Pixels) -> Floats:
    """Return (x - 127.5) / 128, what facenet-pytorch's own networks take."""
    return np.asarray((crops.astype(np.float32) - 127.5) / 128.0, dtype=np.float32)


def cut_out(pixels: Pixels, box: tuple[float, float, float, float]) -> Pixels:
    """Return the box as uint8 (160, 160, 3); the box lies within the image."""
    left, top, right, bottom = (int(corner) for corner in box)
    face = Image.fromarray(np.ascontiguousarray(pixels[top:bottom, left:right]))
    return np.array(face.resize((SIDE, SIDE), Image.Resampling.BILINEAR), dtype=np.uint8)


def sharpness(crop: Pixels) -> float:
    """Return the variance of the Laplacian (four neighbours) of the crop's grey (ITU-R BT.601): small is blurred."""
    grey = crop.astype(np.float64) @ np.array([0.299, 0.587, 0.114])
    laplacian = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:] - 4.0 * grey[1:-1, 1:-1]
    return float(laplacian.var())


def _sighting(seen: _Seen, raw: Embedding) -> Sighting:
    try:
        embedding = unit(raw)
    except ValueError:
        # A vector without direction is near nobody and far from nobody: nothing was seen that can be judged.
        return Sighting(0, None)
    largest = seen.largest
    face = Face(embedding, largest.box, largest.landmarks, largest.probability, sharpness(seen.crop))
    return Sighting(seen.faces, face)


def _groups(decoded: Iterable[Pixels | Undecodable]) -> Iterator[list[Pixels | Undecodable]]:
    """Cut a stream of decoded images so that few of the large ones are in memory together."""
    group: list[Pixels | Undecodable] = []
    held = 0
    for each in decoded:
        group.append(each)
        held += 0 if isinstance(each, Undecodable) else each.shape[0] * each.shape[1]
        if held >= _PIXELS_HELD:
            yield group
            group, held = [], 0
    if group:
        yield group


def _space(what: Published) -> EmbeddingSpace:
    pixels = "whitened per image" if what.whitened else "(x - 127.5) / 128"
    return EmbeddingSpace(
        embedder=what.name,
        weights=what.sha256,
        dimension=what.dimension,
        detector=DETECTOR,
        alignment=ALIGNMENT,
        normalisation=f"{pixels}, unit length",
    )
