"""What a fault is: something with a name that is done to a road, and that undoes itself."""

import random
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, get_args

from tests.faults.road.laid import Road

Realm = Literal["generate", "judge", "kafka", "triton", "milvus", "disk"]

WORKERS: Sequence[Realm] = ("generate", "judge")
EVERYTHING: Sequence[Realm] = get_args(Realm)


class Unmet(Exception):
    """The fault was meant for a moment that did not come."""


class Fault(ABC):
    """One thing to do to a road, once."""

    name: ClassVar[str]
    """The class that it is counted under."""
    realms: ClassVar[Sequence[Realm]] = WORKERS
    """What it breaks. Two faults never break the same at the same time."""
    seconds: ClassVar[float] = 120.0
    """It has undone itself by then, or has failed."""

    @abstractmethod
    async def inject(self, road: Road, draw: random.Random) -> None:
        """Do it, and return when it is undone.

        Raises:
            Unmet: If what it was meant to meet did not come.
        """


@dataclass
class Happened:
    """A fault that was done."""

    name: str
    began: float
    """Monotonic seconds, as ``ended``."""
    ended: float
    failed: str = ""
    """Why it could not be done as it was meant."""
    alone: bool = True
    """Whether nothing else was broken before the road had recovered from it."""
    recovered_seconds: float | None = None
    """From its end to the first sample that ended newly; None where that cannot be told."""
