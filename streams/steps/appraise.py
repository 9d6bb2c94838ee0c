"""Search the gallery, measure and decide: the part of judging that any source of images shares.

Where a first look is rough, what its error could change is looked at again before anything is decided.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass

from streams.core import verdict
from streams.core.decide import decide
from streams.core.faces import Embedding, Sighting
from streams.core.measurement import Measurement
from streams.core.subject import Subject
from streams.events import SampleJudged
from streams.ports import Appraising
from streams.steps.consent import answer, register_of
from streams.steps.search import search, search_again


@dataclass(frozen=True, eq=False)
class Appraised:
    """One sample's verdict, and what it rests on."""

    judged: SampleJudged
    measurement: Measurement
    embedding: Embedding | None
    """What the similarities are of; None where no face was seen."""
    sighting: Sighting
    """What the verdict is on."""


async def appraise(
    subjects: Mapping[str, Subject],
    sightings: Mapping[str, Sighting],
    services: Appraising,
    *,
    gallery_version: str,
    examine_ms: float,
) -> list[Appraised]:
    """Return the verdict on each sample that was seen, and what it rests on.

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
    subjects = {key: subjects[key] for key in sightings}
    began = time.perf_counter()
    searched = await search(subjects, sightings, services, gallery_version)
    timings = {"examine": examine_ms, "search": _share(began, len(searched))}
    entries = await register_of({one.identity for one in subjects.values()}, services)
    answers = {key: answer(one, entries, services.now()) for key, one in subjects.items()}
    began = time.perf_counter()
    if rough := {key: one for key, one in searched.items() if not one.suffices(services.policy, answers[key].consent)}:
        searched |= await search_again(subjects, rough, services, gallery_version)
        timings["second_look"] = _share(began, len(searched))

    now = services.now()
    appraised = []
    for key, one in searched.items():
        judgement = decide(one.measurement, services.policy, answers[key].consent, answers[key].unmet)
        args = (subjects[key], one.measurement, judgement, services.policy)
        judged = verdict.verdict(*args, now=now, timings_ms=timings)
        appraised.append(Appraised(judged, one.measurement, one.embedding, one.sighting))
    return appraised


def _share(began: float, samples: int) -> float:
    """Return one sample's share of the time since, in milliseconds."""
    return round((time.perf_counter() - began) * 1000 / samples, 2)
