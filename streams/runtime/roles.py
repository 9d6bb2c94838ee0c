"""What a worker can be: one consumer group and one process each, because a full queue stalls the whole fetch loop."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from streams import steps, topics
from streams.core.records import Message
from streams.ports import Monitoring, Services
from streams.settings import Settings
from streams.topics import Topic

S = TypeVar("S")


@dataclass(frozen=True)
class Role(Generic[S]):
    """One hop: what is read, the step that it goes through, and how what was delivered is noted."""

    name: str
    sources: tuple[Topic, ...]
    step: Callable[[Sequence[Message], S], Awaitable[steps.Effects]]
    note: Callable[[steps.Effects, S], Awaitable[None]]
    tells: tuple[Topic, ...] = ()
    """What is written to beside the topics of the road."""
    most: int | None = None
    """So many messages are taken at a time at most, whatever is set; None where only the setting counts."""

    def batch_size(self, settings: Settings) -> int:
        """Return how many messages are taken at a time at most."""
        return settings.batch_size if self.most is None else min(self.most, settings.batch_size)

    def group(self, prefix: str) -> str:
        """Return the consumer group of all workers of this role."""
        return f"{prefix}-{self.name}"


async def _note_ends(effects: steps.Effects, services: Services) -> None:
    if effects.decided:
        await services.ledger.published(effects.decided)


async def _note_told(effects: steps.Effects, services: Monitoring) -> None:
    if effects.told:
        await services.charts.told(effects.told)


# A request may ask for 64 samples, and all of a batch are made before any of it counts as done.
GENERATE = Role("generate", (topics.GENERATION_REQUESTS,), steps.generate, _note_ends, most=16)
JUDGE = Role("judge", (topics.GENERATION_SAMPLES, topics.TRAINING_SAMPLES), steps.judge, _note_ends)
MONITOR = Role("monitor", (topics.SAMPLES_ACCEPTED, topics.SAMPLES_FLAGGED), steps.monitor, _note_told, topics.TOLD)

#: The road: every sample goes through these to its end. Who monitors it reads only ends, and holds nothing up.
ROLES = {role.name: role for role in (GENERATE, JUDGE)}
