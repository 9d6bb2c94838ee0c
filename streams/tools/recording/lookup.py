"""From samples that were read off a topic to rows: with the verdict, what it rests on, the embedding and the image."""

import asyncio
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from streams.core.faces import Embedding
from streams.core.ledger import Outcome, State
from streams.core.measurement import Measurement
from streams.events import SampleJudged
from streams.ports import Services
from streams.steps.consent import answer, register_of
from streams.tools.recording.arrivals import Arrival
from streams.tools.recording.images import keep
from streams.tools.recording.rows import Row

#: Images that are fetched at the same time.
_IMAGES_AT_ONCE = 16


async def rows_of(
    arrivals: Sequence[Arrival], services: Services, counts: "Counter[str]", *, images: Path | None
) -> list[Row]:
    """Return the rows of samples, in order, and count what is special about them.

    Args:
        arrivals: Each sample once.
        services: The ledger, images, gallery and consent register of the road that they came by.
        counts: Added to: ``erased``, whom nothing is recorded of; ``undecided`` samples, that have no end; ``dead``
            ones; those ``without-consent``, whose image and embedding are left out; ``image-missing``.
        images: The recording's folder; None where no images are wanted.
    """
    ids = [one.subject.sample_id for one in arrivals]
    people = {one.subject.identity for one in arrivals}
    called = await services.ledger.called(people)
    outcomes = await services.ledger.outcomes(ids)
    entries = await register_of(people, services)
    now = services.now()
    taken: list[tuple[Arrival, Outcome | None]] = []
    for one in arrivals:
        outcome = outcomes.get(one.subject.sample_id)
        if called[one.subject.identity] != one.subject.identity or _emptied(outcome):
            counts["erased"] += 1
        else:
            taken.append((one, outcome))
    agreed = {one.subject.sample_id for one, _ in taken if answer(one.subject, entries, now).granted}
    counts["without-consent"] += len(taken) - len(agreed)
    embeddings = await services.gallery.recall(sorted(agreed))
    if images is not None:
        missing = await _keep([one for one, _ in taken if one.subject.sample_id in agreed], services, images)
        counts["image-missing"] += missing
    return [_row(one, outcome, embeddings, counts) for one, outcome in taken]


def _emptied(outcome: Outcome | None) -> bool:
    """Say whether somebody was forgotten: every verdict has its measurement until then."""
    return outcome is not None and outcome.state is not State.DEAD and outcome.measurement is None


def _row(arrival: Arrival, outcome: Outcome | None, embeddings: Mapping[str, Embedding], counts: "Counter[str]") -> Row:
    raw, verdict, measured = arrival.raw, arrival.verdict, None
    if outcome is None:
        counts["undecided"] += 1
    elif outcome.state is State.DEAD:
        counts["dead"] += 1
    else:
        measured = outcome.measurement
        verdict = verdict or SampleJudged.model_validate_json(outcome.record.value or b"")
    return Row(
        topic=raw.topic,
        partition=raw.partition,
        offset=raw.offset,
        time_ms=raw.time_ms,
        subject=arrival.subject,
        judged=verdict,
        measurement=Measurement.model_validate_json(measured) if measured else None,
        embedding=embeddings.get(arrival.subject.sample_id),
    )


async def _keep(arrivals: Sequence[Arrival], services: Services, folder: Path) -> int:
    """Put the images of samples into the recording; return how many the store has not."""
    wanted = {one.subject.image.sha256: one for one in arrivals if one.subject.image is not None}
    at_once = asyncio.Semaphore(_IMAGES_AT_ONCE)

    async def one_image(arrival: Arrival) -> bool:
        async with at_once:
            image = arrival.subject.image
            return image is None or await keep(folder, image, services.images, arrival.inline)

    kept = await asyncio.gather(*map(one_image, wanted.values()))
    return kept.count(False)
