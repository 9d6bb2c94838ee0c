"""Who is enrolled, and by which references."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from streams.core.explain.known import KnownLooks
from streams.core.explain.look import Look
from streams.core.explain.spread import Spread
from streams.core.faces import Embedding
from streams.core.gallery import Identity, Neighbourhood, Origin, Reference


class Searched(Protocol):
    """Who is enrolled, as a look at a sample needs it. Similarity is cosine in [-1, 1], larger is nearer."""

    async def identities(self, names: Sequence[str]) -> dict[str, Identity]:
        """Return those of the named identities that are enrolled."""

    async def search(
        self, probes: Sequence[Embedding], *, identities: int = 5, references: int = 3
    ) -> list[Neighbourhood]:
        """Return, for each probe in order, its nearest identities (by centroid) and nearest references."""


class Gallery(Searched, Protocol):
    """Who is enrolled, in one embedding space. Similarity is cosine in [-1, 1], larger is nearer."""

    async def enrol(
        self, identity: Identity, references: Sequence[Reference], looks: Mapping[str, Look] | None = None
    ) -> str:
        """Put an identity with all its references, replacing what it had; return the new gallery version.

        ``looks`` says how references look, by id. It is evidence alone, and part of no version.

        Raises BadInput where its origin differs from the gallery's domain.
        """

    async def remove(self, identity: str) -> str:
        """Take an identity and its references out; return the new gallery version. Unknown ones are no error."""

    async def names(self) -> list[str]:
        """Return every enrolled identity, sorted."""

    async def references(self, identity: str) -> list[Reference]:
        """Return the identity's references, ordered by id."""

    async def looks(self, names: Sequence[str]) -> dict[str, dict[str, Look]]:
        """Return how the references of the named identities look, by reference id, where that is known."""

    async def known_looks(self, names: Sequence[str], version: str) -> KnownLooks:
        """Return the same, and the spread, to who asks for it time and again: as of a minute ago, or of now.

        ``version`` is the gallery's, read before: what is returned is never older than that.
        """

    async def put_looks(self, identity: str, looks: Mapping[str, Look]) -> None:
        """Store how references of somebody look, by their ids: as ``enrol`` does, for those enrolled without."""

    async def put_spread(self, spread: Spread) -> None:
        """Store how much pictures of one person differ, over all people."""

    async def spread(self) -> Spread | None:
        """Return what was stored of it; None where that was never measured."""

    async def version(self) -> str:
        """Return the gallery's version: it changes with every enrolment and removal. Empty gallery: ``""``."""

    async def domain(self) -> Origin | None:
        """Return the one origin that all references have, None while nobody is enrolled."""

    async def remember(self, samples: Mapping[str, Embedding]) -> None:
        """Store samples' embeddings by sample id, apart from the gallery. Doing it again changes nothing."""

    async def unremember(self, sample_ids: Sequence[str]) -> None:
        """Take the stored embeddings of samples out; those that have none are no error."""

    async def recall(self, sample_ids: Sequence[str]) -> dict[str, Embedding]:
        """Return the stored embeddings of those of the samples that have one."""
