"""How far one partition is done, by what was fetched of it: whatever gets lost on the way to the agent stays undone."""

from collections import deque
from collections.abc import Iterable


class Reading:
    """What was fetched of one partition since its last seek, in order, and what of it is done.

    >>> reading = Reading()
    >>> reading.fetched([7, 8, 10])  # 9 is the mark of a transaction: nobody is ever given it
    >>> reading.done(8)
    >>> reading.reached
    7
    >>> reading.done(7)
    >>> reading.reached
    10
    >>> reading.done(10)
    >>> reading.reached
    11
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._undone: deque[int] = deque()
        self._early: set[int] = set()
        """Done, while something before it is not."""
        self._end: int | None = None

    @property
    def reached(self) -> int | None:
        """The first offset that is not done, which is what may be committed; None where nothing was fetched."""
        return self._undone[0] if self._undone else self._end

    def fetched(self, offsets: Iterable[int]) -> None:
        """Take in what was fetched, in the order of its offsets."""
        for offset in offsets:
            self._undone.append(offset)
            self._end = offset + 1

    def done(self, offset: int) -> None:
        """Count one message as done."""
        if self._undone and offset >= self._undone[0]:
            self._early.add(offset)
        while self._undone and self._undone[0] in self._early:
            self._early.remove(self._undone.popleft())
