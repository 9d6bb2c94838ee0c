"""An examiner that reads faces from tiny drawn pictures."""

import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from PIL import Image, UnidentifiedImageError

from streams.core.explain.look import COLUMNS, ROWS, Look, Measure, Region, outline
from streams.core.faces import Embedding, EmbeddingSpace, Examined, Face, Pixels, Rough, Sighting, Undecodable
from streams.core.imprints import Descriptor, Imprint, Imprints
from streams.core.imprints import Measure as ImprintMeasure
from streams.core.similarity import unit
from streams.events import DeadReason
from streams.testing.images import DIMENSION

#: The space of what pictures show.
STUB_SPACE = EmbeddingSpace(
    embedder="stub-8",
    weights="0" * 64,
    dimension=DIMENSION,
    detector="first row",
    alignment="none",
    normalisation="unit length",
)


#: What copies of such pictures are recognised by.
STUB_DESCRIPTOR = Descriptor("stub-256", "", 256, ImprintMeasure.BITS, "first row")

#: Directions on one side of which, or on the other, each of the 256 bits places what a picture shows.
_SIDES = np.random.default_rng(0).normal(size=(256, DIMENSION))


class StubExaminer:
    """Implements ``ports.TwofoldExaminer``, ``Imprinter`` and ``Describer`` on what ``images.picture`` draws."""

    def __init__(
        self,
        *,
        failures: Iterable[BaseException | None] = (),
        answers: Mapping[bytes, Examined | BaseException] | None = None,
        error: float = 0.0,
    ) -> None:
        """Script what goes wrong.

        Args:
            failures: What the next calls raise, in order; None = that call goes well.
            answers: What is answered, or raised, whenever these encoded bytes are examined.
            error: How far a similarity may be off at the first look, which is rough then: every embedding is turned
                towards one and the same side, by that much at most.
        """
        self._failures = iter(failures)
        self._answers = dict(answers or {})
        self._error = error
        self.calls: list[list[bytes]] = []
        """What was examined, call by call."""
        self.second_looks: list[int] = []
        """How many sightings were looked at again, call by call."""

    @property
    def space(self) -> EmbeddingSpace:
        return STUB_SPACE

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        self.calls.append(list(encoded))
        if failure := next(self._failures, None):
            raise failure
        return [self._answer(each) for each in encoded]

    async def look_again(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        self.second_looks.append(len(sightings))
        return [_exact(one) for one in sightings]

    @property
    def descriptor(self) -> Descriptor:
        return STUB_DESCRIPTOR

    async def describe(self, faces: Sequence[Face]) -> list[Look | None]:
        return [_look(one) for one in faces]

    async def imprint(self, sightings: Sequence[Sighting]) -> list[Imprints]:
        return [tuple(_imprint(view) for view in one.views) for one in sightings]

    async def imprint_originals(self, encoded: Sequence[bytes]) -> list[Imprints | Undecodable]:
        """What a picture shows, the mirror image shows from the other end."""
        seen = [self._answer(each) for each in encoded]
        return [one if isinstance(one, Undecodable) else _both_ways(one.views) for one in seen]

    def _answer(self, encoded: bytes) -> Examined:
        answer = self._answers.get(encoded)
        if isinstance(answer, BaseException):
            raise answer
        return answer or _read(encoded, self._error)


def _read(encoded: bytes, error: float) -> Examined:
    try:
        with Image.open(io.BytesIO(encoded), formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as fault:
        return Undecodable(DeadReason.IMAGE_UNDECODABLE, f"not a whole PNG: {type(fault).__name__}")
    faces, side, sharpness = (int(value) for value in pixels[1, 0])
    if not faces:
        return Sighting(0, None, (pixels,))
    return Sighting(
        faces,
        Face(
            embedding=_embedding(pixels, error),
            box=(0.0, 0.0, float(side), float(side)),
            landmarks=((1.0, 1.0), (2.0, 1.0), (1.5, 2.0), (1.0, 3.0), (2.0, 3.0)),
            probability=1.0,
            sharpness=float(sharpness),
            rough=Rough("int8", error, pixels) if error else None,
        ),
        (pixels,),
    )


def _look(face: Face) -> Look:
    """What a picture shows is in every region of it; the wider the face, the wider the mouth."""
    picture = np.resize(face.embedding, (len(Region), ROWS, COLUMNS, 3)).astype(np.float32)
    return Look({Measure.SHARPNESS: face.sharpness, Measure.MOUTH_WIDTH: face.side / 100}, outline(picture))


def _both_ways(views: Sequence[Pixels]) -> Imprints:
    return tuple(_imprint(each) for view in views for each in (view, view[:, ::-1]))


def _imprint(pixels: Pixels) -> Imprint:
    return (_SIDES @ _embedding(pixels) > 0).astype(np.float32)


def _embedding(pixels: Pixels, error: float = 0.0) -> Embedding:
    """Return what the picture shows, turned to one side by ``error`` at most."""
    exact = unit((pixels[0, :, 0].astype(np.float32) - 128) / 127)
    # Half of it: bringing the sum back to unit length moves it by as much again at most.
    return unit(exact + np.full(DIMENSION, error / 2 / np.sqrt(DIMENSION), np.float32))


def _exact(sighting: Sighting) -> Sighting:
    face = sighting.largest
    if face is None or face.rough is None:
        return sighting
    return replace(sighting, largest=replace(face, embedding=_embedding(face.rough.crop), rough=None))
