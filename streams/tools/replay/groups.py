"""Which samples of a recording are looked at together: those of one step, or of one strength where none has a step."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.core.replay.columns import Floats
from streams.tools.recording.reader import Recording

#: Of more steps than these, neighbours are one group: no chart is wide enough for more, and no table read.
MOST_GROUPS = 200

Numbers = npt.NDArray[np.int32]


@dataclass(frozen=True, eq=False)
class Groups:
    """g groups of steps, or of strengths; rising."""

    by: str
    """``step``, or ``σ``."""
    firsts: Floats
    """The first step of each, shape (g,); so is the last one of ``lasts``."""
    lasts: Floats

    @classmethod
    def of(cls, recording: Recording) -> "Groups":
        """Return those of a recording, of which two columns are read."""
        known: dict[str, Floats] = {name: np.array([], dtype=np.float64) for name in ("step", "strength")}
        for part in recording.parts:
            table = recording.table(part, tuple(known))
            known = {name: np.union1d(each, _numbers(table[name].drop_null())) for name, each in known.items()}
        by, values = ("step", known["step"]) if len(known["step"]) else ("σ", known["strength"])
        together = np.array_split(values, min(len(values), MOST_GROUPS)) if len(values) else []
        return cls(by, np.array([each[0] for each in together]), np.array([each[-1] for each in together]))

    @property
    def column(self) -> str:
        """Of a recording, that they are cut by."""
        return "step" if self.by == "step" else "strength"

    @property
    def merged(self) -> bool:
        """Whether one of them is of several steps."""
        return bool((self.firsts < self.lasts).any())

    def title(self, group: int) -> str:
        """Return what people call one of them."""
        first, last = float(self.firsts[group]), float(self.lasts[group])
        return f"{self.by} {first:g}" if first == last else f"{self.by} {first:g}\N{EN DASH}{last:g}"

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.firsts)

    def numbers(self, values: pa.ChunkedArray) -> Numbers:
        """Return the group of each sample by its value in ``column``; -1 where it has none."""
        there = np.asarray(values.is_valid(), dtype=np.bool_)
        found = np.searchsorted(self.firsts, _numbers(values.fill_null(0)), side="right") - 1
        return np.where(there, found, -1).astype(np.int32)


def _numbers(column: pa.ChunkedArray) -> Floats:
    return np.asarray(column, dtype=np.float64)
