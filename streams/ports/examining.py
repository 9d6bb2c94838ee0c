"""What is read from pictures: faces and their embeddings, how faces look, and imprints."""

from collections.abc import Sequence
from typing import Protocol

from streams.core.explain.look import Look
from streams.core.faces import EmbeddingSpace, Examined, Face, Sighting, Undecodable
from streams.core.imprints import Descriptor, Imprints


class Examiner(Protocol):
    """Decodes images, finds faces and embeds them."""

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings."""

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order. Bad bytes are an outcome, not an error."""


class TwofoldExaminer(Examiner, Protocol):
    """An examiner whose first look may be rough: then faces say so, and can be embedded again."""

    async def look_again(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Return the same, in order, with every rough face embedded in 32-bit floats."""


class Describer(Protocol):
    """Says how faces look: what differences are explained by."""

    async def describe(self, faces: Sequence[Face]) -> list[Look | None]:
        """Return how each face looks, in order; None where its landmarks are in no face."""


class Imprinter(Protocol):
    """Makes imprints: what copies of pictures are recognised by."""

    @property
    def descriptor(self) -> Descriptor:
        """What the imprints are."""

    async def imprint(self, sightings: Sequence[Sighting]) -> list[Imprints]:
        """Return the imprints of each picture that was seen, in order."""

    async def imprint_originals(self, encoded: Sequence[bytes]) -> list[Imprints | Undecodable]:
        """Return the imprints of each encoded image and of its mirror image, in order: each before its mirror's."""
