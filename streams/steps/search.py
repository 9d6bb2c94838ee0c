"""Search for every face and measure every sample: once, and again, exactly, where the first look is too rough."""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace

from streams.core.consent import Consent
from streams.core.faces import Embedding, Sighting
from streams.core.gallery import Neighbourhood
from streams.core.measure import measure
from streams.core.measurement import Measurement
from streams.core.policy import Policy, refuse_elsewhere
from streams.core.settled import ROUNDING, difference, settled
from streams.core.subject import Subject
from streams.ports import Appraising
from streams.steps.copies import compare
from streams.steps.second import consult

log = logging.getLogger(__name__)

#: Identities that are searched for near each face.
NEAREST = 5


@dataclass(frozen=True)
class Searched:
    """One sample as it was seen, searched for and measured."""

    sighting: Sighting
    measurement: Measurement
    unseen: float | None
    """Similarity of the farthest identity that was found, where there may be more; nobody else is nearer."""

    @property
    def embedding(self) -> Embedding | None:
        """What the similarities are of; None where no face was seen."""
        return None if self.sighting.largest is None else self.sighting.largest.embedding

    def suffices(self, policy: Policy, consent: Consent) -> bool:
        """Say whether a verdict may rest on this look: always on an exact one.

        Never on a rough one where scores are normalised: how far off they may be, nothing says.
        """
        error = self.measurement.similarity_error
        if error is None or policy.normalisation is not None:
            return error is None
        return settled(self.measurement, policy, consent, error=error, unseen=self.unseen)


async def search(
    subjects: Mapping[str, Subject], sightings: Mapping[str, Sighting], services: Appraising, gallery_version: str
) -> dict[str, Searched]:
    """Search for every face, compare every picture with the originals, in one batch, and measure every sample.

    Raises:
        PolicyRefused: If the policy does not hold for this gallery, which may have been empty when the process began.
    """
    searched, compared, second = await asyncio.gather(
        _measured(subjects, sightings, services, gallery_version),
        compare(sightings, services),
        consult({key: subjects[key] for key in sightings}, services),
    )
    noted = {key: compared.noted_in(one.measurement, key) for key, one in searched.items()}
    return {key: replace(one, measurement=second.noted_in(noted[key], sightings[key])) for key, one in searched.items()}


async def search_again(
    subjects: Mapping[str, Subject], rough: Mapping[str, Searched], services: Appraising, gallery_version: str
) -> dict[str, Searched]:
    """Embed the faces exactly, in one batch, search for them and measure once more; the pictures are the same."""
    sightings = await services.examiner.look_again([one.sighting for one in rough.values()])
    exact = await _measured(subjects, dict(zip(rough, sightings, strict=True)), services, gallery_version)
    for key, one in rough.items():
        off, stated = difference(one.measurement, exact[key].measurement), one.measurement.similarity_error or 0.0
        if off > stated + ROUNDING:
            log.warning(
                "expected similarities to be at most %.4f off at the first look, as stated, got %.4f for sample %s: the"
                " statement does not hold for such faces; set LIKENESS_PRECISION=fp32",
                *(stated, off, key),
            )
    return {key: replace(one, measurement=_same_picture(rough[key], one)) for key, one in exact.items()}


def _same_picture(before: Searched, after: Searched) -> Measurement:
    """Return what was measured after, with what the first look settled: copies, and what the second verifier said."""
    first = before.measurement
    return after.measurement.model_copy(
        update={
            "originals": first.originals,
            "originals_searched": first.originals_searched,
            "copy_descriptor": first.copy_descriptor,
            "second": first.second,
        }
    )


async def _measured(
    subjects: Mapping[str, Subject], sightings: Mapping[str, Sighting], services: Appraising, gallery_version: str
) -> dict[str, Searched]:
    with_face = [(key, seen.largest) for key, seen in sightings.items() if seen.largest is not None]
    probes = [face.embedding for _, face in with_face]
    found = await services.gallery.search(probes, identities=NEAREST) if with_face else []
    near = {key: hood for (key, _), hood in zip(with_face, found, strict=True)}
    names = {subjects[key].identity for key in sightings} | {one.identity for hood in found for one in hood.identities}
    enrolled = await services.gallery.identities(sorted(names))
    space = services.examiner.space.fingerprint
    for identity in enrolled.values():
        refuse_elsewhere(services.policy, embedding_space=space, domain=identity.origin)
    searched = {}
    for key, sighting in sightings.items():
        hood = near.get(key, Neighbourhood((), ()))
        about = {"space": space, "gallery_version": gallery_version}
        measurement = measure(subjects[key], sighting, hood, enrolled, **about, cohort=services.cohort)
        unseen = hood.identities[-1].similarity if len(hood.identities) == NEAREST else None
        searched[key] = Searched(sighting, measurement, unseen)
    return searched
