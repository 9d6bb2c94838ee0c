"""How far one partition is done, by what was fetched of it: whatever gets lost on the way to the agent is found out."""

from collections import deque
from collections.abc import Iterable


class LostOnTheWay(Exception):
    """A message was fetched and never reached the agent, though one behind it did."""


class Reading:
    """What was fetched of one partition since its last seek and is not done, in order.

    >>> reading = Reading()
    >>> reading.fetched([7, 8, 10])  # 9 is the mark of a transaction: nobody is ever given it
    >>> reading.done(7)
    >>> reading.reached
    8
    >>> reading.done(8)
    >>> reading.done(10)
    >>> reading.reached
    11
    """

    def __init__(self) -> None:
        """Begin with nothing."""
        self._undone: deque[int] = deque()
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
        """Count one message as done: the first one that is not.

        Raises:
            LostOnTheWay: If it is one behind that. An agent ends its messages in the order in which they were read.
        """
        if not self._undone or offset < self._undone[0]:
            return
        if offset > self._undone[0]:
            raise LostOnTheWay(f"expected {self._undone[0]} to be done next, got {offset}")
        self._undone.popleft()
