"""A judge for the mutants: its delivery is real, and what it looks at is drawn, so that it starts in a moment.

Real are Faust and Kafka, the ledger, the image store, Milvus, and the step itself. The examiner alone is a stand-in:
nothing that is mutated asks what a face looks like.

Usage: ``python -m tests.faults.mutations.worker FOLDER SIMILARITY (works | raises | waits)``.
"""

import asyncio
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from streams.adapters.images.store import ImageStore
from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.adapters.milvus.gallery import MilvusGallery
from streams.core.faces import Examined
from streams.runtime.patience import Patience
from streams.runtime.roles import JUDGE
from streams.runtime.worker import work
from streams.settings import Settings
from streams.testing.examiner import STUB_SPACE, StubExaminer
from streams.testing.services import policy, services
from tests.faults.road.orders import Orders
from tests.faults.road.worker import tap_faust, tap_services

#: In the folder: made by the worker when it waits, and by whoever lets it go on.
AT_THE_GATE, OPEN_THE_GATE = "at-the-gate", "open-the-gate"

_LOOK_SECONDS = 0.02


class WaitingExaminer(StubExaminer):
    """Stands at a gate with the first batch that it gets; whatever is asked beside goes through."""

    def __init__(self, folder: Path) -> None:
        super().__init__()
        self._folder = folder

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        first = not self.calls
        seen = await super().examine(encoded)
        if first:
            (self._folder / AT_THE_GATE).touch()
            while not (self._folder / OPEN_THE_GATE).exists():  # noqa: ASYNC110 - another process makes it
                await asyncio.sleep(_LOOK_SECONDS)
        return seen


def examiner(trouble: str, folder: Path) -> StubExaminer:
    """Return an examiner that does as told."""
    if trouble == "raises":
        return StubExaminer(failures=[None, ZeroDivisionError("nobody has foreseen this")])
    return WaitingExaminer(folder) if trouble == "waits" else StubExaminer()


async def main(folder: Path, similarity: float, trouble: str) -> None:
    """Judge until told to stop."""
    settings, patience, orders = Settings(), Patience(), Orders(folder / "orders", JUDGE.name)
    async with AsyncExitStack() as stack:
        database = Database(settings.address("ledger"))
        await database.open()
        stack.push_async_callback(database.close)
        timeout = settings.call_timeout_seconds
        gallery = MilvusGallery(settings.address("milvus"), "", STUB_SPACE, timeout_seconds=timeout)
        stack.push_async_callback(gallery.close)
        await gallery.open()
        everything = services(
            ledger=SqlLedger(database),
            consent=SqlConsentRegister(database),
            examiner=examiner(trouble, folder),
            gallery=gallery,
            images=ImageStore(settings.address("images")),
            policy=policy(similarity=similarity),
            now=partial(datetime.now, UTC),
        )
        tap_faust(orders)
        await work(settings, tap_services(everything, orders), JUDGE, patience)


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), float(sys.argv[2]), sys.argv[3]))
