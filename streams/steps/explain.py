"""How the faces of samples look: how they differ from the references, and what tells the frames of a clip apart.

Told beside a verdict that is made, and never decided by.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

from streams.core.explain.compare import explain
from streams.core.explain.known import KnownLooks
from streams.core.explain.look import Look
from streams.core.faces import Face
from streams.events import Decision, Explanation, ReasonCode
from streams.ports import Services
from streams.steps.appraise import Appraised

#: Decimals of a measure that is kept.
_DECIMALS = 6


async def explained(appraised: Sequence[Appraised], services: Services) -> list[Appraised]:
    """Return the same with what is told of how faces look.

    That is explanations, where they are asked for and it is known how the references look; and in the measurement of a
    frame of a clip the measures of its look.
    """
    agreed = {
        place: face
        for place, one in enumerate(appraised)
        if (face := one.sighting.largest) and _may_be_looked_into(one)
    }
    asked = {place: appraised[place].judged.identity for place in agreed if _asked(appraised[place], services)}
    known = KnownLooks({}, None)
    if asked:
        version = appraised[min(asked)].measurement.gallery_version  # one batch is measured against one version
        known = await services.gallery.known_looks(sorted(set(asked.values())), version)
    asked = {place: name for place, name in asked.items() if name in known.of}
    framed = {place for place in agreed if appraised[place].judged.clip_id is not None}
    looks = await _looks({place: face for place, face in agreed.items() if place in asked or place in framed}, services)
    held = {place: list(known.of[name].values()) for place, name in asked.items() if place in looks}
    told: dict[int, tuple[Explanation, ...]] = {}
    if held:
        # Of people with a hundred references each a batch takes 40 ms: off the event loop.
        told = await asyncio.to_thread(
            lambda: {place: explain(looks[place], held[place], known.spread) for place in held}
        )
    return [
        _with(one, told.get(place, ()), looks.get(place) if place in framed else None)
        for place, one in enumerate(appraised)
    ]


async def _looks(faces: Mapping[int, Face], services: Services) -> dict[int, Look]:
    looks = await services.describer.describe(list(faces.values())) if faces else []
    return {place: look for place, look in zip(faces, looks, strict=True) if look is not None}


def _with(appraised: Appraised, told: tuple[Explanation, ...], look: Look | None) -> Appraised:
    judged, measurement = appraised.judged, appraised.measurement
    if told:
        judged = judged.model_copy(update={"explanations": told})
    if look is not None:
        kept = {measure.value: round(value, _DECIMALS) for measure, value in look.measures.items()}
        measurement = measurement.model_copy(update={"look": kept})
    return replace(appraised, judged=judged, measurement=measurement)


def _may_be_looked_into(appraised: Appraised) -> bool:
    """Nothing is looked into of whom consent does not cover."""
    return all(reason.code is not ReasonCode.NO_CONSENT for reason in appraised.judged.reasons)


def _asked(appraised: Appraised, services: Services) -> bool:
    flagged = appraised.judged.decision is Decision.FLAGGED
    return services.explain == "all" or (services.explain == "flagged" and flagged)
