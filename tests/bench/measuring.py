"""The two things that are compared: the bare engine in this process, and the road's worker in its own."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from streams import topics
from streams.core.faces import Embedding, Sighting
from streams.errors import PartFailed
from streams.events import SampleJudged
from streams.ports import Services
from streams.settings import Settings
from streams.tools.audit.topics import Offsets, Topics
from tests.bench.machine import Others
from tests.bench.rates import Batch
from tests.bench.stage import BATCH
from tests.bench.workers import BROKER_SECONDS, working


@dataclass(frozen=True)
class Round:
    """One measurement of one of the two."""

    batches: tuple[Batch, ...]
    others_cores: float
    """How many cores other programs kept busy meanwhile."""


async def bare(services: Services, images: Sequence[bytes], again: float = 0.0) -> Round:
    """Detect, embed and search, and nothing else.

    Args:
        services: Whose engine and gallery.
        images: Encoded.
        again: The part of all faces that are embedded and searched for a second time, as many as on the road.
    """
    others = Others()
    done = []
    for start in range(0, len(images), BATCH):
        batch = images[start : start + BATCH]
        seen = [one for one in await services.examiner.examine(batch) if isinstance(one, Sighting) and one.largest]
        await services.gallery.search(_embeddings(seen))
        if second := seen[: round(again * len(seen))]:
            await services.gallery.search(_embeddings(await services.examiner.look_again(second)))
        done.append(Batch(time.perf_counter(), len(batch)))
    return Round(tuple(done), others.cores())


def _embeddings(seen: Sequence[Sighting]) -> list[Embedding]:
    return [one.largest.embedding for one in seen if one.largest is not None]


async def road(settings: Settings, count: int, name: str) -> Round:
    """Have a judge's worker empty the filled topic, and return its batches, read off the verdicts afterwards.

    All verdicts of a batch carry the moment at which it was decided. From the first batch's moment to the last one's
    lie as many ledger transactions, deliveries and acknowledgements as examinations, so the rate is that of the whole
    road; the worker's start, and whoever reads verdicts, are outside of it.

    Raises:
        PartFailed: If some sample got no verdict, or more than one record.
    """
    kafka = settings.kafka or ""
    names = [topic.name for topic in topics.ENDS]
    async with Topics(kafka, timeout_seconds=BROKER_SECONDS) as reader:
        before = await reader.ends(names)
    async with working(settings, "judge") as worker:
        others = Others()
        await worker.until(topics.ENDS, sum(before.values()) + count)
        disturbed = others.cores()
    judged = await verdicts(settings, before)
    ours = {one.sample_id for one in judged if (one.request_id or "").startswith(f"{name}-")}
    if len(ours) != count or len(judged) != count:
        raise PartFailed(f"expected a verdict on each of {count} samples, got {len(judged)} on {len(ours)}")
    return Round(batches_of(judged), disturbed)


async def verdicts(settings: Settings, before: Offsets) -> list[SampleJudged]:
    """Return the verdicts that came after these ends of the topics.

    Raises:
        PartFailed: If there are dead letters among them.
    """
    async with Topics(settings.kafka or "", timeout_seconds=BROKER_SECONDS) as reader:
        records = [raw async for raw in reader.records(await reader.ends({topic for topic, _ in before}))]
    new = [raw for raw in records if raw.offset >= before[raw.topic, raw.partition]]
    if any(raw.topic == topics.DEAD_LETTERS.name for raw in new):
        raise PartFailed("expected verdicts alone, got dead letters")
    return [SampleJudged.model_validate_json(raw.value or b"") for raw in new]


def batches_of(judged: Sequence[SampleJudged]) -> tuple[Batch, ...]:
    """Return the batches that the verdicts were made in: those of one batch carry one moment."""
    together: dict[float, list[SampleJudged]] = defaultdict(list)
    for one in judged:
        together[one.judged_at.timestamp()].append(one)
    return tuple(Batch(moment, len(batch), _engine_seconds(batch)) for moment, batch in together.items())


def _engine_seconds(batch: Sequence[SampleJudged]) -> float:
    """Add up a batch's timings: each of its verdicts carries its own share of them."""
    return sum(sum(one.timings_ms.values()) for one in batch) / 1000
