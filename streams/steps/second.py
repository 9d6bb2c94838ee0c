"""What the second verifier says of faces: near whom they lie in its own embedding space."""

from collections.abc import Mapping
from dataclasses import dataclass

from streams.core.faces import Sighting
from streams.core.gallery import Identity
from streams.core.measurement import Measurement
from streams.core.similarity import similarity
from streams.core.subject import Subject
from streams.events import SecondOpinion
from streams.ports import Appraising


@dataclass(frozen=True)
class Second:
    """Whom the second verifier knows, of those who were asked for."""

    embedding_space: str | None
    """None: there is no second verifier."""
    enrolled: Mapping[str, Identity]

    def noted_in(self, measurement: Measurement, sighting: Sighting) -> Measurement:
        """Return the measurement of what was seen, with the second opinion on it."""
        if self.embedding_space is None:
            return measurement
        target, face = self.enrolled.get(measurement.identity), sighting.largest
        embedding = None if face is None else face.second
        opinion = SecondOpinion(
            embedding_space=self.embedding_space,
            references=target.references if target else 0,
            similarity=None if target is None or embedding is None else similarity(embedding, target.centroid),
        )
        return measurement.model_copy(update={"second": opinion})


async def consult(subjects: Mapping[str, Subject], services: Appraising) -> Second:
    """Ask the second verifier for everybody whom the samples should show."""
    if services.second is None:
        return Second(None, {})
    names = sorted({subject.identity for subject in subjects.values()})
    return Second(services.second.space.fingerprint, await services.second.gallery.identities(names))
