"""A gallery in memory, searched by brute force."""

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from streams.core.enrolment import check_enrolment, checked_vector, enrolment, removal, require_name
from streams.core.explain.known import KnownLooks
from streams.core.explain.look import Look
from streams.core.explain.spread import Spread
from streams.core.faces import Embedding, EmbeddingSpace
from streams.core.gallery import Identity, NearIdentity, Neighbourhood, Origin, Reference, next_version
from streams.core.similarity import rounded


class InMemoryGallery:
    """Keeps the promises of ``ports.Gallery`` for one process, for tests and small programs."""

    def __init__(self, space: EmbeddingSpace) -> None:
        """Start empty, for embeddings of ``space``."""
        self._space = space
        self._identities: dict[str, Identity] = {}
        self._references: dict[str, list[Reference]] = {}
        self._samples: dict[str, Embedding] = {}
        self._looks: dict[str, dict[str, Look]] = {}
        self._spread: Spread | None = None
        self._version = ""

    async def enrol(
        self, identity: Identity, references: Sequence[Reference], looks: Mapping[str, Look] | None = None
    ) -> str:
        check_enrolment(identity, references, self._space, await self.domain())
        self._identities[identity.identity] = identity
        self._references[identity.identity] = sorted(references, key=lambda each: each.reference_id)
        self._looks[identity.identity] = dict(looks or {})
        self._version = next_version(self._version, enrolment(identity, references))
        return self._version

    async def remove(self, identity: str) -> str:
        if self._identities.pop(identity, None) is not None:
            del self._references[identity], self._looks[identity]
            self._version = next_version(self._version, removal(identity)) if self._identities else ""
        return self._version

    async def identities(self, names: Sequence[str]) -> dict[str, Identity]:
        return {name: self._identities[name] for name in names if name in self._identities}

    async def names(self) -> list[str]:
        return sorted(self._identities)

    async def references(self, identity: str) -> list[Reference]:
        return list(self._references.get(identity, ()))

    async def put_looks(self, identity: str, looks: Mapping[str, Look]) -> None:
        self._looks[identity] = self._looks.get(identity, {}) | dict(looks)

    async def looks(self, names: Sequence[str]) -> dict[str, dict[str, Look]]:
        return {name: dict(self._looks[name]) for name in names if self._looks.get(name)}

    async def known_looks(self, names: Sequence[str], version: str) -> KnownLooks:
        return KnownLooks(await self.looks(names), self._spread)

    async def put_spread(self, spread: Spread) -> None:
        self._spread = spread

    async def spread(self) -> Spread | None:
        return self._spread

    async def search(
        self, probes: Sequence[Embedding], *, identities: int = 5, references: int = 3
    ) -> list[Neighbourhood]:
        checked = [checked_vector(probe, self._space, "a probe") for probe in probes]
        enrolled = list(self._identities.values())
        images = [each for group in self._references.values() for each in group]
        near_identities = _nearest(checked, [(each.identity, each.centroid) for each in enrolled], identities)
        near_images = _nearest(checked, [(each.reference_id, each.embedding) for each in images], references)
        owner = {each.reference_id: each.identity for each in images}
        return [
            Neighbourhood(
                identities=tuple(NearIdentity(name, near, self._identities[name].protected) for name, near in people),
                references=tuple((image, owner[image], near) for image, near in pictures),
            )
            for people, pictures in zip(near_identities, near_images, strict=True)
        ]

    async def version(self) -> str:
        return self._version

    async def domain(self) -> Origin | None:
        return next((each.origin for each in self._identities.values()), None)

    async def remember(self, samples: Mapping[str, Embedding]) -> None:
        for sample_id in samples:
            require_name(sample_id, "sample id")
        self._samples |= {
            sample_id: checked_vector(vector, self._space, f"the embedding of sample {sample_id}").copy()
            for sample_id, vector in samples.items()
        }

    async def unremember(self, sample_ids: Sequence[str]) -> None:
        for sample_id in sample_ids:
            self._samples.pop(sample_id, None)

    async def recall(self, sample_ids: Sequence[str]) -> dict[str, Embedding]:
        return {each: self._samples[each] for each in sample_ids if each in self._samples}


def _nearest(
    probes: Sequence[Embedding], candidates: Sequence[tuple[str, Embedding]], limit: int
) -> list[list[tuple[str, float]]]:
    """Return for each probe the ``limit`` nearest candidates: by similarity, on ties by id."""
    if not candidates or not probes:
        return [[] for _ in probes]
    cosines = _directions(probes) @ _directions([vector for _, vector in candidates]).T
    return [
        sorted(
            ((name, rounded(float(cosine))) for (name, _), cosine in zip(candidates, row, strict=True)),
            key=lambda near: (-near[1], near[0]),
        )[:limit]
        for row in cosines
    ]


def _directions(vectors: Sequence[Embedding]) -> npt.NDArray[np.float64]:
    """Return the vectors as rows of exact unit length, shape (n, d)."""
    rows = np.stack(vectors).astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))
