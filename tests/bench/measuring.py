"""The two things that are compared: the bare engine in this process, and the road's worker in its own."""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from streams import topics
from streams.core.faces import Sighting
from streams.errors import PartFailed
from streams.events import SampleJudged
from streams.ports import Services
from streams.settings import Settings
from streams.tools.audit_topics import Topics
from tests.bench.machine import Others
from tests.bench.rates import Batch
from tests.bench.workers import BROKER_SECONDS, working


@dataclass(frozen=True)
class Round:
    """One measurement of one of the two."""

    batches: tuple[Batch, ...]
    others_cores: float
    """How many cores other programs kept busy meanwhile."""


async def bare(services: Services, images: Sequence[bytes], batch_size: int) -> Round:
    """Detect, embed and search, and nothing else."""
    others = Others()
    done = []
    for start in range(0, len(images), batch_size):
        batch = images[start : start + batch_size]
        seen = await services.examiner.examine(batch)
        faces = [one.largest for one in seen if isinstance(one, Sighting) and one.largest is not None]
        await services.gallery.search([face.embedding for face in faces])
        done.append(Batch(time.perf_counter(), len(batch)))
    return Round(tuple(done), others.cores())


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
    async with Topics(kafka, timeout_seconds=BROKER_SECONDS) as reader:
        records = [raw async for raw in reader.records(await reader.ends(names))]
    new = [raw for raw in records if raw.offset >= before[raw.topic, raw.partition]]
    if any(raw.topic == topics.DEAD_LETTERS.name for raw in new):
        raise PartFailed("expected verdicts alone, got dead letters")
    judged = [SampleJudged.model_validate_json(raw.value or b"") for raw in new]
    ours = {one.sample_id for one in judged if (one.request_id or "").startswith(f"{name}-")}
    if len(ours) != count or len(judged) != count:
        raise PartFailed(f"expected a verdict on each of {count} samples, got {len(judged)} on {len(ours)}")
    together: dict[float, list[SampleJudged]] = defaultdict(list)
    for one in judged:
        together[one.judged_at.timestamp()].append(one)
    batches = [Batch(moment, len(batch), _engine_seconds(batch)) for moment, batch in together.items()]
    return Round(tuple(batches), disturbed)


def _engine_seconds(batch: Sequence[SampleJudged]) -> float:
    """Add up a batch's timings: each of its verdicts carries its own share of them."""
    return sum(sum(one.timings_ms.values()) for one in batch) / 1000
