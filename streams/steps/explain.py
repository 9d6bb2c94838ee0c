"""What differs between a sample and the references of whom it should show: told beside a verdict that is made."""

from collections.abc import Mapping

from streams.core.explain.compare import explain
from streams.core.faces import Sighting
from streams.events import Decision, Explanation, ReasonCode, SampleJudged
from streams.ports import Services


async def explanations(
    judged: Mapping[str, SampleJudged], sightings: Mapping[str, Sighting], services: Services
) -> dict[str, tuple[Explanation, ...]]:
    """Return explanations by sample id, where they are asked for and it is known how the references look.

    Args:
        judged: The verdicts, by sample id.
        sightings: What was seen of each.
        services: The gallery, and what says how faces look.
    """
    faces = {key: face for key, one in judged.items() if (face := sightings[key].largest) and _asked_for(one, services)}
    if not faces:
        return {}
    known = await services.gallery.looks(sorted({judged[key].identity for key in faces}))
    faces = {key: face for key, face in faces.items() if judged[key].identity in known}
    if not faces:
        return {}
    spread = await services.gallery.spread()
    looks = await services.describer.describe(list(faces.values()))
    told = {
        key: explain(look, list(known[judged[key].identity].values()), spread)
        for key, look in zip(faces, looks, strict=True)
        if look is not None
    }
    return {key: found for key, found in told.items() if found}


def _asked_for(judged: SampleJudged, services: Services) -> bool:
    if any(reason.code is ReasonCode.NO_CONSENT for reason in judged.reasons):
        return False  # nothing is looked into of whom consent does not cover
    return services.explain == "all" or (services.explain == "flagged" and judged.decision is Decision.FLAGGED)
