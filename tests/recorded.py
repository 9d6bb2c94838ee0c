"""A training run judged on stand-ins, laid out as Kafka would hold it, and recordings of it."""

from collections.abc import AsyncGenerator, Sequence
from pathlib import Path

import numpy as np

from streams import topics
from streams.core.records import Record
from streams.ports import Services
from streams.steps import judge
from streams.testing.images import picture, png
from streams.testing.interruption import Interrupted
from streams.testing.messages import deliver, message, training_sample
from streams.tools.audit.records import Raw
from streams.tools.recording.manifest import Manifest, Place, Selection
from streams.tools.recording.record import record

ANNA, BERT, STRANGER = np.eye(8)[0], np.eye(8)[1], np.eye(8)[7]
VERDICTS = (topics.SAMPLES_ACCEPTED.name, topics.SAMPLES_FLAGGED.name)
START_MS = 1_893_499_200_000


class Laid:
    """Implements ``record.Source``: one partition a topic, the records in the order in which they were published."""

    def __init__(self, records: Sequence[Record]) -> None:
        self.killed_after: int | None = None
        """How many records are read until the process is killed."""
        self.raws: dict[str, list[Raw]] = {}
        for number, one in enumerate(records):
            held = self.raws.setdefault(one.topic, [])
            place = (one.topic, 0, len(held))
            held.append(Raw(*place, one.key, one.value, one.headers, START_MS + number * 1000))

    async def places(self, selection: Selection) -> list[Place]:
        wanted = [(name, self.raws.get(name, [])) for name in sorted(selection.topics)]
        return [Place(topic=name, partition=0, first=0, end=len(raws)) for name, raws in wanted if raws]

    async def records(self, place: Place) -> AsyncGenerator[Raw, None]:
        for raw in self.raws[place.topic][place.first : place.end]:
            if self.killed_after is not None:
                self.killed_after -= 1
                if self.killed_after < 0:
                    raise Interrupted
            yield raw


def drifting(step: int, index: int) -> bytes:
    """An image of step ``step``: the later, the less it is anna; each one is another picture."""
    turn = step / 10
    sideways = np.zeros(8)
    sideways[3 + index % 3] = 0.05 * (index + 1)
    return png(picture(np.cos(turn) * ANNA + np.sin(turn) * STRANGER + sideways))


async def trained(services: Services, *, steps: int = 10, each: int = 6, run: str = "run-1") -> Laid:
    """Judge the samples of a training run, and return what is on the topics then."""
    messages = [
        message(training_sample(drifting(step, index), run_id=run, step=step * 100, index=index))
        for step in range(steps)
        for index in range(each)
    ]
    records = await deliver(judge, messages, services)
    brought = [Record(one.topic, one.key, one.value, one.headers, services.now()) for one in messages]
    return Laid([*brought, *records])


async def recorded(folder: Path, services: Services, source: Laid, **fields: object) -> Manifest:
    """Record the verdicts."""
    return await record(folder, Selection(**{"topics": VERDICTS} | fields), source, services, part_records=16)
