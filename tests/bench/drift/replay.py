"""Whether the order of a stream makes a difference: the monitor itself reads one in order, and one that was muddled."""

import random
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from streams.adapters.ledger.database import Database
from streams.core.drift.chart import PER_SIMILARITY
from streams.events import SampleJudged
from streams.testing.gallery import InMemoryGallery
from streams.testing.verdicts import judged
from tests.bench.drift.pool import IN_CONTROL, Scores
from tests.charted import BEGIN, Bench, gallery_of

#: Steps of the run in control and after, and samples in each; the served samples are as many.
_WELL, _DRIFTED, _EACH = 15, 40, 8
_PART_DOUBLED = 4


@dataclass(frozen=True)
class Replayed:
    """What came of both."""

    identical: bool
    alerts: int
    """That the charts have, in order."""
    samples: int


async def replayed(pools: Mapping[float, Scores], rung: float, seed: int) -> Replayed:
    """Let a monitor read verdicts in order, and another one the same shuffled, some twice, the first ones last."""
    verdicts = _verdicts(pools[IN_CONTROL], pools[rung], seed)
    muddled = verdicts + random.Random(seed).sample(verdicts, len(verdicts) // _PART_DOUBLED)
    random.Random(seed).shuffle(muddled)
    muddled += verdicts[:_EACH]
    with tempfile.TemporaryDirectory() as folder:
        straight = await _read(verdicts, await gallery_of(verdicts), Path(folder) / "straight.db")
        again = await _read(muddled, await gallery_of(verdicts), Path(folder) / "muddled.db")
    return Replayed(straight[0] == again[0], straight[1], len(verdicts))


async def _read(verdicts: list[SampleJudged], gallery: InMemoryGallery, file: Path) -> tuple[str, int]:
    """Return all that ``likeness drift show --json`` shows, as text, and how many alerts are in it."""
    database = Database(f"sqlite:///{file}")
    await database.open()
    try:
        monitor = Bench(database, gallery)
        await monitor.read(verdicts)
        return await monitor.shown(), sum(len(chart["alerts"]) for chart in await monitor.charts())
    finally:
        await database.close()


def _verdicts(well: Scores, worse: Scores, seed: int) -> list[SampleJudged]:
    """Return verdicts on a training run and on served samples, both of which drift."""
    rng = np.random.default_rng(seed)
    found = []
    for step in range(_WELL + _DRIFTED):
        law = worse if step >= _WELL else well
        for place, score in enumerate(rng.choice(law, 2 * _EACH).tolist()):
            seen = {"faces": 0} if score < -PER_SIMILARITY else {"similarity": score / PER_SIMILARITY}
            at = {"judged_at": BEGIN + timedelta(seconds=60 * step + place)}
            training = {"kind": "training", "source": "ladder", "step": step} if place % 2 else {}
            found.append(judged(f"{step} {place}", **training, **seen, **at))
    return found
