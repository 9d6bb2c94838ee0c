"""Whether a server's models have stood still: what a server lacks in mid-deployment it may have a moment later."""

from collections.abc import Set
from dataclasses import dataclass, field

#: Seconds after which what was last seen says nothing of what was there in between.
FORGOTTEN_AFTER = 60.0


@dataclass
class Standstill:
    """Remembers since when a server has had the same models ready."""

    seconds: float
    """For how long they must have been the same."""
    _ready: Set[tuple[str, str]] = field(default_factory=frozenset)
    _since: float = float("-inf")
    _seen: float = float("-inf")

    def holds(self, ready: Set[tuple[str, str]], now: float) -> bool:
        """Take note of the models and versions that are ready now; return whether they have been so for long enough.

        ``now`` is in seconds, on a clock that only goes forward.
        """
        if ready != self._ready or now - self._seen > FORGOTTEN_AFTER:
            self._ready, self._since = ready, now
        self._seen = now
        return now - self._since >= self.seconds
