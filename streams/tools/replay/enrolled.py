"""A recording's gallery, searched by brute force: it is as small as what was enrolled, and asks no server."""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from streams.core.faces import Embedding
from streams.core.gallery import Identity, NearIdentity, Neighbourhood, Reference
from streams.core.similarity import DECIMALS, centroid, concentration, rounded
from streams.errors import BadInput
from streams.ports import TwofoldExaminer
from streams.tools.recording.reader import Recording
from streams.tools.references import seen_again


class RecordedGallery:
    """Implements ``ports.Searched``."""

    def __init__(self, identities: Mapping[str, Identity], references: Sequence[Reference]) -> None:
        """Take who is enrolled, with what."""
        self._identities = identities
        self.references = tuple(references)
        self._people = _Rows([(one.identity, one.centroid) for one in identities.values()])
        self._images = _Rows([(one.reference_id, one.embedding) for one in references])
        self._owners = {one.reference_id: one.identity for one in references}

    async def identities(self, names: Sequence[str]) -> dict[str, Identity]:
        """See ``ports.Searched``."""
        return {name: self._identities[name] for name in names if name in self._identities}

    async def search(
        self, probes: Sequence[Embedding], *, identities: int = 5, references: int = 3
    ) -> list[Neighbourhood]:
        """See ``ports.Searched``."""
        people, images = self._people.nearest(probes, identities), self._images.nearest(probes, references)
        return [
            Neighbourhood(
                identities=tuple(NearIdentity(name, near, self._identities[name].protected) for name, near in who),
                references=tuple((image, self._owners[image], near) for image, near in which),
            )
            for who, which in zip(people, images, strict=True)
        ]


class _Rows:
    """Named unit vectors."""

    def __init__(self, named: Sequence[tuple[str, Embedding]]) -> None:
        in_order = sorted(named, key=lambda one: one[0])
        self._names = [name for name, _ in in_order]
        self._rows = _unit([vector for _, vector in in_order]) if named else None

    def nearest(self, probes: Sequence[Embedding], limit: int) -> list[list[tuple[str, float]]]:
        """Return the nearest of each probe: by similarity, on ties by name."""
        if self._rows is None or not len(probes):
            return [[] for _ in probes]
        found = []
        for cosines in np.round(_unit(probes) @ self._rows.T, DECIMALS):
            first = np.argsort(-cosines, kind="stable")[:limit]  # stable: names are in order
            found.append([(self._names[place], rounded(float(cosines[place]))) for place in first])
        return found


def _unit(vectors: Sequence[Embedding]) -> npt.NDArray[np.float64]:
    rows = np.stack(vectors).astype(np.float64)
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True))


async def gallery_for(
    recording: Recording, examiner: TwofoldExaminer, forgotten: Collection[str] = ()
) -> RecordedGallery:
    """Return the recording's gallery in the examiner's embedding space: made anew from its images where it is another.

    Args:
        recording: Who was enrolled.
        examiner: What embeds.
        forgotten: Who is left out.

    Raises:
        BadInput: If it must be made anew, and an image of somebody enrolled is missing or shows no single face.
    """
    enrolled = {name: one for name, one in recording.identities.items() if name not in forgotten}
    references = [one for one in recording.references if one.identity in enrolled]
    if recording.manifest.embedding_space == examiner.space.fingerprint:
        return RecordedGallery(enrolled, references)
    references = await _embedded(recording, references, examiner)
    by_identity: defaultdict[str, list[Embedding]] = defaultdict(list)
    for one in references:
        by_identity[one.identity].append(one.embedding)
    identities = {}
    for name, held in enrolled.items():
        faces = by_identity[name]
        if len(faces) != held.references:
            raise BadInput(
                f"expected {held.references} images of {name} to embed anew, the recording has {len(faces)}: record"
                " with images, or replay with --gallery now"
            )
        identities[name] = Identity(
            identity=name,
            origin=held.origin,
            centroid=centroid(faces),
            references=len(faces),
            concentration=concentration(faces),
            protected=held.protected,
        )
    return RecordedGallery(identities, references)


async def _embedded(
    recording: Recording, references: Sequence[Reference], examiner: TwofoldExaminer
) -> list[Reference]:
    async def image_of(reference: Reference) -> bytes | str:
        return recording.image(reference.image_sha256) or "its image is not in the recording"

    return [
        replace(one, embedding=face.embedding)
        async for seen in seen_again(references, image_of, examiner)
        for one, face in seen
        if not isinstance(face, str)
    ]
