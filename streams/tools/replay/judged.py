"""What a replay tells of every part of a recording, to whoever wants to see more than the sums."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from streams.core.faces import Embedding
from streams.core.replay.changes import changed
from streams.core.replay.codes import Masks
from streams.core.replay.columns import Bools
from streams.core.replay.rule import Consents, granted


@dataclass(frozen=True, eq=False)
class Again:
    """What a second look at one sample gave."""

    similarity: float | None
    embedding: Embedding | None


@dataclass(frozen=True, eq=False)
class Judged:
    """One part, judged again: n rows."""

    part: Path
    before: Masks
    judged: Bools
    """Which had a verdict before."""
    after: Masks
    rows: Bools
    """Which were replayed; of the others ``after`` says nothing."""
    consent: Consents
    looks: Mapping[int, Again] | None = field(default=None, repr=False)
    """By row, those that were looked at again; None where nobody looked."""

    @property
    def agreed(self) -> Bools:
        """Whose consent stands: of the others neither image nor embedding is shown."""
        return granted(self.consent)

    @property
    def changed(self) -> Bools:
        """Which have another verdict."""
        return self.rows & changed(self.before, self.after, self.judged)


#: Is given every part; the report is made of them.
Seen = Callable[[Judged], None]


def unseen(_judged: Judged) -> None:
    """Look at nothing."""
