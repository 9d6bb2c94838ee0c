"""From verdicts to charts and clips: whether a stream slides, what a training run should do, how videos came out."""

import asyncio
import logging
from collections.abc import Iterable, Mapping, Sequence

from streams.core.clips.gathered import ungatherable
from streams.core.drift.book import Page, Turned, turn
from streams.core.drift.chart import Observation, observe, unchartable
from streams.core.drift.plan import Plan
from streams.core.faces import Embedding
from streams.core.parse import Refused, parse
from streams.core.records import Message
from streams.events import SampleJudged
from streams.ports import Monitoring
from streams.steps.clips import gather
from streams.steps.ends import Effects

log = logging.getLogger(__name__)

#: What is told at a time; the rest is told with the next batch.
TOLD_AT_ONCE = 5000


async def monitor(messages: Sequence[Message], services: Monitoring) -> Effects:
    """From ``samples.accepted`` and ``samples.flagged`` to what is told, where something has changed.

    That is alerts, feedback on training steps, and verdicts on clips.
    """
    verdicts = _verdicts(messages)
    scopes = await services.charts.put(_observations(verdicts, services.plan))
    while pages := await services.charts.pages(scopes):
        if await services.charts.turn(await _turned(pages, services), at=services.now()):
            break
    await gather(verdicts, services)
    untold = await services.charts.untold(TOLD_AT_ONCE)
    return Effects(tuple(record for _, record in untold), {}, tuple(name for name, _ in untold))


def _verdicts(messages: Sequence[Message]) -> list[SampleJudged]:
    found: list[SampleJudged] = []
    for message in messages:
        judged = parse(message, SampleJudged)
        fault = judged.detail if isinstance(judged, Refused) else unchartable(judged) or ungatherable(judged)
        if isinstance(judged, Refused) or fault is not None:
            place = f"{message.topic}[{message.partition}]@{message.offset}"
            log.warning("%s is no verdict of ours, and is in no chart: %s", place, fault)
            continue
        found.append(judged)
    return found


def _observations(verdicts: Iterable[SampleJudged], plan: Plan) -> list[Observation]:
    return [
        each for judged in verdicts for each in observe(judged, window_seconds=plan.window_seconds, plan=plan.version)
    ]


async def _turned(pages: Sequence[Page], services: Monitoring) -> list[Turned]:
    wanted = sorted({sample_id for page in pages for sample_id in page.wanted})
    embeddings = await services.gallery.recall(wanted) if wanted else {}
    references = {
        name: [one.embedding for one in await services.gallery.references(name)]
        for name in sorted({name for page in pages for name in page.identities})
    }
    return await asyncio.to_thread(_turn_all, pages, services, embeddings, references)


def _turn_all(
    pages: Sequence[Page],
    services: Monitoring,
    embeddings: Mapping[str, Embedding],
    references: Mapping[str, Sequence[Embedding]],
) -> list[Turned]:
    return [turn(page, services.plan, embeddings, references) for page in pages]
