"""A courier that keeps what it is given, or is out of reach."""

from dataclasses import dataclass, field
from datetime import datetime

from streams.events import GenerationRequested, Headers


@dataclass(frozen=True)
class Handed:
    """One request as it was handed over."""

    request: GenerationRequested
    at: datetime
    trace: Headers


@dataclass
class StubCourier:
    """Implements ``ports.Courier``."""

    reaches: bool = True
    """Whether Kafka takes anything."""
    handed: list[Handed] = field(default_factory=list)
    """What Kafka took, in order."""

    async def hand_over(self, request: GenerationRequested, *, at: datetime, trace: Headers = ()) -> bool:
        if self.reaches:
            self.handed.append(Handed(request, at, trace))
        return self.reaches
