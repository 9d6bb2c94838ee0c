"""What was read of how people look, held for a moment: every batch asks for it, and it hardly ever changes."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field

from streams.core.explain.look import Look
from streams.core.explain.spread import Spread

#: So long it is held at most, in use or not: that long somebody who was forgotten may be in a process's memory.
SECONDS = 60.0
#: Looks of so many people are held, or of one batch's: with ten references each, about ten megabytes.
PEOPLE = 256


@dataclass(eq=False)
class Held:
    """What was read while the gallery had one version."""

    version: str
    looks: dict[str, Mapping[str, Look]] = field(default_factory=dict)
    """By identity and by reference; of people of whom nothing is known, none."""
    spread: Spread | None = None
    knows_spread: bool = False
    """Whether it was read: there may be none."""

    def keep(self, looks: Mapping[str, Mapping[str, Look]]) -> None:
        """Hold the looks of these people too; where they become too many, of these alone."""
        if len(self.looks) + len(looks) > PEOPLE:
            self.looks.clear()
        self.looks.update(looks)


class Holder:
    """Holds what was read under the last version that was asked for, and lets go of it in time."""

    def __init__(self) -> None:
        """Hold nothing yet."""
        self._held: Held | None = None
        self._timer: asyncio.TimerHandle | None = None

    def under(self, version: str) -> Held:
        """Return what was read under this version: nothing yet, where that is another one than before."""
        if self._held is None or self._held.version != version:
            self.let_go()
            self._held = Held(version)
            self._timer = asyncio.get_running_loop().call_later(SECONDS, self.let_go)
        return self._held

    def let_go(self) -> None:
        """Hold nothing any more. Whoever is reading just now fills what nobody will be given again."""
        if self._timer is not None:
            self._timer.cancel()
        self._held = self._timer = None
