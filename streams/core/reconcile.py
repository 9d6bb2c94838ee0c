"""Which message asks for a sample again, and which of them are due."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pydantic import ValidationError

from streams import topics
from streams.core.ledger import Registration
from streams.core.records import Record
from streams.events import Body, GenerationRequested, SampleGenerated, TrainingSamplePublished, cloud_event, to_json


class Name(NamedTuple):
    """What tells one message from every other."""

    topic: str
    source: str
    key: str


@dataclass(frozen=True)
class Again:
    """A message that once asked for samples, to be published once more."""

    name: Name
    body: Body

    def record(self, now: datetime) -> Record:
        """Return it as its first publisher made it; the trace headers it may have had are not in the ledger."""
        topic, source, key = self.name
        headers = cloud_event(self.body, id=key, source=f"/{source}", time=now)
        return Record(topic, key.encode(), to_json(self.body), headers, now)


def asking(row: Registration) -> Again | None:
    """Return the message that asks for this row; None where the row does not say enough, as that of a bare message."""
    try:
        if row.kind == "training":
            trained = TrainingSamplePublished.model_validate_json(row.payload)
            return Again(Name(topics.TRAINING_SAMPLES.name, trained.run_id, row.sample_id), trained)
        if row.kind == "generation":
            return _generation(row)
    except ValidationError:
        return None  # another release wrote it
    return None


def _generation(row: Registration) -> Again:
    """Tell a request, which names no sample, from a sample that a generator of somebody else's brought."""
    try:
        made = SampleGenerated.model_validate_json(row.payload)
    except ValidationError:
        request = GenerationRequested.model_validate_json(row.payload)
        return Again(Name(topics.GENERATION_REQUESTS.name, request.source, request.request_id), request)
    return Again(Name(topics.GENERATION_SAMPLES.name, made.source, row.sample_id), made)


@dataclass(frozen=True)
class Due:
    """What rows without an end ask for."""

    again: tuple[Again, ...]
    """Each message once, however many rows it asks for, in the order of the rows."""
    helpless: int
    """Rows that nothing can be published for."""


def due(rows: Iterable[Registration], driven: Mapping[Name, datetime], *, before: datetime) -> Due:
    """Return what is to be published again for rows in flight.

    Args:
        rows: Registered before ``before``, and in flight.
        driven: When each message was last published again.
        before: What was asked for until then has been passed by the workers, and left alone for long enough.
    """
    asked = [asking(row) for row in rows]
    again = {one.name: one for one in asked if one is not None}
    waits = {name for name, at in driven.items() if at >= before}
    return Due(tuple(one for name, one in again.items() if name not in waits), asked.count(None))
