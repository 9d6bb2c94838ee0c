"""The ledger's rows as plain values: what is registered, what became of it."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Literal

from streams.core.records import Record
from streams.events import Body, ImageRef


class State(StrEnum):
    """Where a sample stands. It leaves ``IN_FLIGHT`` once; only a redrive brings it back, and only from ``DEAD``."""

    IN_FLIGHT = "in_flight"
    ACCEPTED = "accepted"
    FLAGGED = "flagged"
    DEAD = "dead"


@dataclass(frozen=True)
class Registration:
    """One row as it is asked for. A ``message`` is a record that names no sample of its own."""

    sample_id: str
    kind: Literal["generation", "training", "message"]
    payload: bytes
    """The body that asked for it: the same id with another payload is a conflict."""
    at: datetime
    identity: str | None = None
    model: str | None = None
    model_version: str | None = None
    seed: int | None = None
    image: ImageRef | None = None


def asked_for(body: Body) -> bytes:
    """Return what a body asks for, to compare with what was asked before under the same id.

    Fields at their default are left out: a later release with one field more still reads old rows as the same.
    """
    return body.model_dump_json(exclude_defaults=True).encode()


@dataclass(frozen=True)
class Registered:
    """One row as the ledger holds it, whoever wrote it."""

    registration: Registration
    state: State
    attempts: int


@dataclass(frozen=True)
class Outcome:
    """How one sample ended: decided once, published as often as needed, always the same bytes."""

    sample_id: str
    state: State
    record: Record
    measurement: str | None = None
    """The measurement as JSON; None where nothing was measured."""
    published: bool = False
