"""An examiner that reads faces from tiny drawn pictures."""

import io
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from PIL import Image, UnidentifiedImageError

from streams.core.faces import EmbeddingSpace, Examined, Face, Sighting, Undecodable
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


class StubExaminer:
    """Implements ``ports.Examiner`` on what ``streams.testing.images.picture`` draws."""

    def __init__(
        self,
        *,
        failures: Iterable[BaseException | None] = (),
        answers: Mapping[bytes, Examined | BaseException] | None = None,
    ) -> None:
        """Script what goes wrong.

        Args:
            failures: What the next calls raise, in order; None = that call goes well.
            answers: What is answered, or raised, whenever these encoded bytes are examined.
        """
        self._failures = iter(failures)
        self._answers = dict(answers or {})
        self.calls: list[list[bytes]] = []
        """What was examined, call by call."""

    @property
    def space(self) -> EmbeddingSpace:
        return STUB_SPACE

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        self.calls.append(list(encoded))
        if failure := next(self._failures, None):
            raise failure
        return [self._answer(each) for each in encoded]

    def _answer(self, encoded: bytes) -> Examined:
        answer = self._answers.get(encoded)
        if isinstance(answer, BaseException):
            raise answer
        return answer or _read(encoded)


def _read(encoded: bytes) -> Examined:
    try:
        with Image.open(io.BytesIO(encoded), formats=["PNG"]) as image:
            pixels = np.asarray(image.convert("RGB"))
    except (UnidentifiedImageError, OSError, SyntaxError) as error:
        return Undecodable(DeadReason.IMAGE_UNDECODABLE, f"not a whole PNG: {type(error).__name__}")
    faces, side, sharpness = (int(value) for value in pixels[1, 0])
    if not faces:
        return Sighting(0, None)
    embedding = unit((pixels[0, :, 0].astype(np.float32) - 128) / 127)
    return Sighting(
        faces,
        Face(
            embedding=embedding,
            box=(0.0, 0.0, float(side), float(side)),
            landmarks=((1.0, 1.0), (2.0, 1.0), (1.5, 2.0), (1.0, 3.0), (2.0, 3.0)),
            probability=1.0,
            sharpness=float(sharpness),
        ),
    )
