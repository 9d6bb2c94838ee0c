"""What a worker can be: one consumer group and one process each, because a full queue stalls the whole fetch loop."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

from streams import steps, topics
from streams.core.records import Message
from streams.ports import Services
from streams.topics import Topic

Step = Callable[[Sequence[Message], Services], Awaitable[steps.Effects]]


@dataclass(frozen=True)
class Role:
    """One hop of the road: what is read, and the step that it goes through."""

    name: str
    sources: tuple[Topic, ...]
    step: Step

    def group(self, prefix: str) -> str:
        """Return the consumer group of all workers of this role."""
        return f"{prefix}-{self.name}"


GENERATE = Role("generate", (topics.GENERATION_REQUESTS,), steps.generate)
JUDGE = Role("judge", (topics.GENERATION_SAMPLES, topics.TRAINING_SAMPLES), steps.judge)

ROLES = {role.name: role for role in (GENERATE, JUDGE)}
