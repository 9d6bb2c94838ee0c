"""What the watchdog looks at: when this worker last got something done."""

import time
from dataclasses import dataclass, field


@dataclass
class Progress:
    """Written on the event loop, read from the watchdog's thread; each field is one number."""

    started: float = field(default_factory=time.monotonic)
    acknowledged_at: float | None = None
    taken: int = 0
    done: int = 0

    def took(self, events: int) -> None:
        """Note that a batch was read."""
        self.taken += events

    def acknowledged(self) -> None:
        """Note that everything that was read is done."""
        self.done = self.taken
        self.acknowledged_at = time.monotonic()

    def idle_seconds(self) -> float:
        """Return for how long nothing was finished."""
        return time.monotonic() - (self.acknowledged_at or self.started)
