"""Who may be judged again at all, and who agrees: as the register says now, or as it said when they were recorded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime

import numpy as np
import pyarrow as pa

from streams.core.consent import Consent, Entry, Purpose, Use, agrees, permits
from streams.core.gallery import Reference
from streams.core.replay.columns import Bools
from streams.core.replay.rule import Consents, consents
from streams.ports import Agreed, Ledger
from streams.tools.recording.reader import USE, Recording, places

#: People that are asked for together.
_TOGETHER = 1000


@dataclass(frozen=True)
class Standing:
    """What is known of the people whom samples should show, and of who was enrolled."""

    entries: Mapping[str, Sequence[Entry]]
    """Of the consent register."""
    forgotten: frozenset[str]
    at: datetime
    """The moment at which consent is asked for, with a time zone."""
    live: bool
    """Whether the register was asked now; else it is the recording's, which knows nothing of what came after it."""
    answers: dict[tuple[str | None, ...], Consent] = field(default_factory=dict, repr=False, compare=False)
    """What was answered to each use so far: thousands of samples are one use."""

    def consents(self, table: pa.Table) -> Consents:
        """Return each row's consent; the table has the columns ``USE``. Each use is asked for once."""
        indices, words = zip(*(places(table[name]) for name in USE), strict=True)
        together = np.zeros(len(table), dtype=np.int64)
        for found, known in zip(indices, words, strict=True):
            together = together * len(known) + found
        _, first, which = np.unique(together, return_index=True, return_inverse=True)
        uses = [tuple(known[found[row]] for found, known in zip(indices, words, strict=True)) for row in first]
        asked: Consents = consents([self._answer(use) for use in uses])[which.reshape(-1)]
        return asked

    def erased(self, table: pa.Table) -> Bools:
        """Return which rows show somebody who was forgotten."""
        found, names = places(table["identity"])
        gone: Bools = np.array([name in self.forgotten for name in names], dtype=np.bool_)[found]
        return gone

    def shown(self, references: Sequence[Reference]) -> list[Reference]:
        """Return the references of those who agree to anything still, and were not forgotten: others nobody sees."""
        agreed = {
            name: name not in self.forgotten and agrees(self.entries.get(name, ()), self.at)
            for name in {one.identity for one in references}
        }
        return [one for one in references if agreed[one.identity]]

    def _answer(self, use: tuple[str | None, ...]) -> Consent:
        if use not in self.answers:
            self.answers[use] = permits(self.entries.get(use[0] or "", ()), _use(use), self.at).consent
        return self.answers[use]


def _use(words: Sequence[str | None]) -> Use:
    """As ``consent.use_of`` of a sample that was made."""
    _, kind, model, version, territory = words
    if kind == "training":
        return Use(Purpose.TRAINING, model, version, territory)
    return Use(Purpose.GENERATION, model, version, territory, settled=version is not None)


def as_recorded(recording: Recording, at: datetime) -> Standing:
    """Return what the recording knows."""
    return Standing(recording.register, frozenset(), at, live=False)


async def as_now(recording: Recording, ledger: Ledger, register: Agreed, at: datetime) -> Standing:
    """Return what the register and the ledger know now."""
    names = sorted(recording.names() | recording.identities.keys())
    entries: dict[str, Sequence[Entry]] = {}
    forgotten: set[str] = set()
    for start in range(0, len(names), _TOGETHER):
        together = names[start : start + _TOGETHER]
        called = await ledger.called(together)
        forgotten |= {name for name in together if called[name] != name}
        entries |= await register.entries(together)
    return Standing(entries, frozenset(forgotten), at, live=True)
