"""Patience: what is down is waited for, in place, with full jitter and a breaker per dependency.

Waiting keeps the partitions and their order; nothing is flagged, dead-lettered or skipped because a part is down.
"""

import logging
import math
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, wait_random_exponential

from streams.errors import DependencyUnavailable
from streams.runtime.metrics import Metrics

T = TypeVar("T")

log = logging.getLogger(__name__)

#: Seconds: the upper end of the first pause and of the longest one; a pause is drawn between 0 and it.
FIRST_PAUSE, LONGEST_PAUSE = 0.2, 30.0
#: So many failures in a row open a dependency's breaker.
OPEN_AFTER = 5


@dataclass
class Patience:
    """Runs work again until its dependencies answer, and knows which of them do not."""

    failures: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    """Failures in a row, by dependency."""
    metrics: Metrics = field(default_factory=Metrics)
    _down_since: dict[str, float] = field(default_factory=dict)
    """When each of them first failed, on a clock that only goes forward."""

    _failed_at: float = -math.inf
    """When a call last failed, on the same clock."""

    @property
    def failing(self) -> tuple[str, ...]:
        """Dependencies whose last call failed. Read from other threads."""
        return tuple(sorted(name for name, count in dict(self.failures).items() if count))

    def excuses(self, call_seconds: float, now: float) -> bool:
        """Say whether a dependency that is down is why nothing is done. Read from other threads.

        Only for as long as one pause and the next call may take: a call that never returns is no outage, whatever
        failed before it.

        >>> patience = Patience({"milvus": 1}, _failed_at=100.0)
        >>> patience.excuses(30.0, now=159.0), patience.excuses(30.0, now=161.0)
        (True, False)
        """
        return bool(self.failing) and now - self._failed_at <= LONGEST_PAUSE + call_seconds

    async def __call__(self, work: Callable[[], Awaitable[T]]) -> T:
        """Run ``work`` until it is not stopped by an unavailable dependency. Anything else it raises goes on up."""
        retrying = AsyncRetrying(
            retry=retry_if_exception_type(DependencyUnavailable),
            wait=wait_random_exponential(multiplier=FIRST_PAUSE, max=LONGEST_PAUSE),
            before_sleep=self._note,
        )

        async def attempt() -> T:  # tenacity awaits what it takes for a coroutine function, which a lambda is not
            return await work()

        result: T = await retrying(attempt)
        self._recovered()
        return result

    def _note(self, state: RetryCallState) -> None:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, DependencyUnavailable):
            return
        self.failures[error.dependency] += 1
        self._failed_at = time.monotonic()
        count = self.failures[error.dependency]
        self._down_since.setdefault(error.dependency, time.monotonic())
        self.metrics.failed(error.dependency, count, breaker_open=count >= OPEN_AFTER)
        if count == 1 or count == OPEN_AFTER or count % 60 == 0:
            says = "breaker open" if count >= OPEN_AFTER else "trying again"
            log.warning("%s; %s (failure %d in a row)", error, says, count)

    def _recovered(self) -> None:
        for name in [name for name, count in self.failures.items() if count]:
            count, seconds = self.failures.pop(name), time.monotonic() - self._down_since.pop(name, time.monotonic())
            says = ", breaker closed" if count >= OPEN_AFTER else ""
            log.warning("%s answers again after %d failures in %.1f s%s", name, count, seconds, says)
            self.metrics.answered(name)
