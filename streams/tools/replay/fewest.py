"""Of each of many groups the samples with the smallest ids, of however many samples come by.

Ids are digests, so that these are drawn by chance, and are the same ones whatever the order in which samples come.
"""

import numpy as np
import numpy.typing as npt

#: A sample that is kept: where it is in the recording, and what the replay said of it.
SAMPLE = np.dtype(
    [
        ("sample_id", "S32"),
        ("group", np.int32),
        ("part", np.int32),
        ("row", np.int32),
        ("agreed", np.bool_),  # whether consent stands
        ("before", np.uint16),
        ("after", np.uint16),
        ("was", np.float64),  # similarity as it was recorded; NaN where there is none
        ("now", np.float64),
    ]
)
Samples = npt.NDArray[np.void]
"""Shape (n,), of ``SAMPLE``."""

#: So many are gathered before what is too much is thrown away.
_PENDING = 100_000
_NO_LIMIT = b"\xff" * 32


class Fewest:
    """Keeps at most ``most`` samples of each group."""

    def __init__(self, groups: int, most: int) -> None:
        """Begin with none, of groups from 0 to before ``groups``."""
        self._most = most
        self._limits = np.full(groups, _NO_LIMIT, dtype="S32")
        """By group: what has no smaller id is not kept."""
        self._held: list[Samples] = [np.array([], dtype=SAMPLE)]
        self._pending = 0

    def add(self, samples: Samples) -> None:
        """Take some in; those of no group, -1, are passed by."""
        of_group = samples[samples["group"] >= 0]
        kept = of_group[of_group["sample_id"] < self._limits[of_group["group"]]]
        self._held.append(kept)
        self._pending += len(kept)
        if self._pending >= _PENDING:
            self.kept()

    def kept(self) -> Samples:
        """Return those that are kept so far, by group and id."""
        together = np.concatenate(self._held)
        ordered = together[np.lexsort((together["sample_id"], together["group"]))]
        groups, first, counts = np.unique(ordered["group"], return_index=True, return_counts=True)
        place = np.arange(len(ordered)) - np.repeat(first, counts)
        full = counts >= self._most
        self._limits[groups[full]] = ordered["sample_id"][first[full] + self._most - 1]
        self._held, self._pending = [ordered[place < self._most]], 0
        return self._held[0]
