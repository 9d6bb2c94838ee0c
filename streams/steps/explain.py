"""What differs between a sample and the references of whom it should show: told beside a verdict that is made."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from streams.core.explain.compare import explain
from streams.core.faces import Face
from streams.events import Decision, Explanation, ReasonCode
from streams.ports import Services
from streams.steps.appraise import Appraised


async def explained(appraised: Sequence[Appraised], services: Services) -> list[Appraised]:
    """Return the same with explanations, where they are asked for and it is known how the references look."""
    faces = {
        place: face for place, one in enumerate(appraised) if (face := one.sighting.largest) and _asked(one, services)
    }
    told: dict[int, tuple[Explanation, ...]] = {}
    if faces:
        told = await _told({place: appraised[place].judged.identity for place in faces}, faces, services)
    return [
        replace(one, judged=one.judged.model_copy(update={"explanations": told[place]})) if told.get(place) else one
        for place, one in enumerate(appraised)
    ]


async def _told(
    names: Mapping[int, str], faces: Mapping[int, Face], services: Services
) -> dict[int, tuple[Explanation, ...]]:
    known = await services.gallery.looks(sorted(set(names.values())))
    faces = {place: face for place, face in faces.items() if names[place] in known}
    if not faces:
        return {}
    spread = await services.gallery.spread()
    described = zip(faces, await services.describer.describe(list(faces.values())), strict=True)
    looks = {place: look for place, look in described if look is not None}
    held = {place: list(known[names[place]].values()) for place in looks}
    # Of people with a hundred references each a batch takes 40 ms: off the event loop.
    return await asyncio.to_thread(lambda: {place: explain(looks[place], held[place], spread) for place in looks})


def _asked(appraised: Appraised, services: Services) -> bool:
    judged = appraised.judged
    if any(reason.code is ReasonCode.NO_CONSENT for reason in judged.reasons):
        return False  # nothing is looked into of whom consent does not cover
    return services.explain == "all" or (services.explain == "flagged" and judged.decision is Decision.FLAGGED)
