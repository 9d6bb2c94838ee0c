"""What a worker under test is told to do to itself, and when: at the n-th time that it passes a named point.

The runner gives an order as a file. Of all workers of a role the first that passes the point takes it, counts on from
there, and does it. An order that is withdrawn before it is done is done by nobody.
"""

import json
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

#: Exit status of a worker that ends itself as ``kill -9`` would: nothing is closed, flushed or given back.
CRASH_STATUS = 137

#: Points that a worker of each role passes, in the order of its work. ``acked`` and ``committed`` are Faust's own.
POINTS: dict[str, tuple[str, ...]] = {
    "generate": (
        "registered",  # the request's rows are in the ledger, nothing is made
        "made",  # Triton has answered, nothing is stored
        "image-put",  # an image is written under a temporary name, and not yet renamed
        "pinned",  # the image belongs to its row
        "sent",  # the first record is on its way, its delivery not awaited
        "acked",
        "committed",
    ),
    "judge": (
        "attempted",  # the attempt is counted, nothing is examined
        "judged",  # before the embedding is remembered and the ledger decides
        "remembered",  # the embedding is in Milvus, nothing is decided
        "decided",  # the ledger has decided, nothing is sent
        "sent",
        "delivered",  # brokers have every record, which is not noted
        "noted",  # ... which is noted, and nothing is acknowledged
        "acked",
        "committed",
    ),
}


@dataclass(frozen=True)
class Order:
    """One thing to do once."""

    role: str
    point: str
    skip: int = 0
    """So many passages are let through before."""
    block_seconds: float = 0.0
    """How long to stand still, with the whole event loop; 0: end instead, as if killed."""

    @property
    def name(self) -> str:
        """The name of its file."""
        return f"{self.role}.{self.point}"


class Desk:
    """Where the runner gives orders."""

    def __init__(self, folder: Path) -> None:
        """Use a folder of their own for the orders, which is made."""
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def give(self, order: Order) -> None:
        """Give an order; another one for the same point is forgotten."""
        self.withdraw(order)
        trial = self.folder / f"{order.name}.tmp"
        trial.write_text(json.dumps({"skip": order.skip, "block_seconds": order.block_seconds}))
        trial.rename(self.folder / order.name)

    def done(self, order: Order) -> bool:
        """Whether somebody has begun to do it."""
        return (self.folder / f"{order.name}.done").exists()

    def doer(self, order: Order) -> int:
        """Return the ``Child.pid`` of whoever does it. Raises FileNotFoundError before anybody has begun to."""
        return int((self.folder / f"{order.name}.done").read_text())

    def withdraw(self, order: Order) -> None:
        """Have it done by nobody any more."""
        for path in (order.name, f"{order.name}.taken", f"{order.name}.done"):
            (self.folder / path).unlink(missing_ok=True)


class Orders:
    """The side of the worker."""

    def __init__(self, folder: Path, role: str) -> None:
        """Follow the orders of a folder that are for a role."""
        self._folder, self._role = folder, role
        self._left: dict[str, int] = {}
        self._block: dict[str, float] = {}

    def passing(self, point: str) -> Callable[[], None]:
        """Return what to call whenever the point is passed."""
        return lambda: self.passed(point)

    def passed(self, point: str) -> None:
        """Take the order for this point where there is one, and do it when its time has come."""
        taken = self._folder / f"{self._role}.{point}.taken"
        if point not in self._left:
            try:
                (self._folder / f"{self._role}.{point}").rename(taken)
                order = json.loads(taken.read_text())
            except FileNotFoundError:
                return
            self._left[point], self._block[point] = order["skip"], order["block_seconds"]
        if self._left[point] > 0:
            self._left[point] -= 1
            return
        del self._left[point]
        try:
            with taken.open("r+") as order:  # of one that was withdrawn there is none to open
                order.truncate()
                order.write(str(os.getppid()))
            taken.rename(taken.with_suffix(".done"))
        except FileNotFoundError:  # withdrawn
            return
        if self._block[point]:
            time.sleep(self._block[point])
        else:
            os._exit(CRASH_STATUS)
