"""From the verdicts on frames to the verdict on each clip, once it is complete."""

import asyncio
from collections.abc import Mapping, Sequence

from streams.core.clips.book import ClipPage, ClipTurned, turn_clip
from streams.core.clips.gathered import gathered
from streams.core.faces import Embedding
from streams.events import SampleJudged
from streams.ports import Monitoring


async def gather(verdicts: Sequence[SampleJudged], services: Monitoring) -> None:
    """Store what verdicts say to clips, and judge those clips that are complete now.

    Any verdict moves the stream's time on, by which clips become complete.
    """
    if not verdicts:
        return
    frames = [one for judged in verdicts if (one := gathered(judged)) is not None]
    await services.clips.put(frames, until=max(judged.judged_at for judged in verdicts))
    while pages := await services.clips.pages():
        wanted = sorted({sample_id for page in pages for sample_id in page.sample_ids})
        embeddings = await services.gallery.recall(wanted)
        turned = await asyncio.to_thread(_turn_all, pages, embeddings)
        await services.clips.turn(turned, at=services.now())


def _turn_all(pages: Sequence[ClipPage], embeddings: Mapping[str, Embedding]) -> list[ClipTurned]:
    return [turn_clip(page, embeddings) for page in pages]
