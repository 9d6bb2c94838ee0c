"""Search the gallery, measure and decide: the part of judging that any source of images shares."""

import time
from collections.abc import Mapping

from streams.core import verdict
from streams.core.decide import decide
from streams.core.faces import Sighting
from streams.core.gallery import Neighbourhood
from streams.core.measure import measure
from streams.core.measurement import Measurement
from streams.core.policy import refuse_elsewhere
from streams.core.subject import Subject
from streams.events import SampleJudged
from streams.ports import Services
from streams.steps.refuse import asked, register_of


async def appraise(
    subjects: Mapping[str, Subject],
    sightings: Mapping[str, Sighting],
    services: Services,
    *,
    gallery_version: str,
    examine_ms: float,
) -> list[tuple[SampleJudged, Measurement]]:
    """Return the verdict and the measurement of each sample that was seen; the gallery is searched in one batch.

    Args:
        subjects: Every sample by id, at least those of ``sightings``.
        sightings: What was seen in each image, by sample id.
        services: The gallery, consent and policy to judge by.
        gallery_version: The gallery's version before it is searched.
        examine_ms: What one image took to examine, for the verdict's timings.

    Raises:
        PolicyRefused: If the policy does not hold for this gallery, which may have been empty when the process began.
    """
    if not sightings:
        return []
    started = time.perf_counter()
    with_face = [(key, seen.largest) for key, seen in sightings.items() if seen.largest is not None]
    found = await services.gallery.search([face.embedding for _, face in with_face]) if with_face else []
    near = {key: hood for (key, _), hood in zip(with_face, found, strict=True)}
    names = {subjects[key].identity for key in sightings}
    entries = await register_of(names, services)
    names |= {one.identity for hood in found for one in hood.identities}
    enrolled = await services.gallery.identities(sorted(names))
    timings = {"examine": examine_ms, "search": round((time.perf_counter() - started) * 1000 / len(sightings), 2)}

    now = services.now()
    space = services.examiner.space.fingerprint
    for identity in enrolled.values():
        refuse_elsewhere(services.policy, embedding_space=space, domain=identity.origin)
    appraised = []
    for key, sighting in sightings.items():
        subject, hood = subjects[key], near.get(key, Neighbourhood((), ()))
        measurement = measure(subject, sighting, hood, enrolled, space=space, gallery_version=gallery_version)
        answer = asked(subject, entries, services)
        judgement = decide(measurement, services.policy, answer.consent, answer.unmet)
        judged = verdict.verdict(subject, measurement, judgement, services.policy, now=now, timings_ms=timings)
        appraised.append((judged, measurement))
    return appraised
