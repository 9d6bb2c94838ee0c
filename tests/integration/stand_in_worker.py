"""One worker on stand-ins, but for Kafka, the ledger, the image store and a Milvus if set: told what to do on TROUBLE.
One that ``returns`` goes back to the committed offsets again and again while messages flow, as rebalances on each
other's heels make it do.

Usage: ``python stand_in_worker.py ROLE (works | raises | hangs | blocks | dawdles | returns)``.
"""

import asyncio
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import partial

from faust.tables.recovery import Recovery

from streams.adapters.images.store import ImageStore
from streams.adapters.ledger.consent import SqlConsentRegister
from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.adapters.milvus.gallery import MilvusGallery
from streams.core.faces import Examined
from streams.ports import Gallery
from streams.runtime.metrics import metered
from streams.runtime.patience import Patience
from streams.runtime.roles import ROLES
from streams.runtime.worker import work
from streams.settings import Settings
from streams.testing.examiner import STUB_SPACE, StubExaminer
from streams.testing.gallery import InMemoryGallery
from streams.testing.images import picture, png
from streams.testing.services import enrol, services

_resume = Recovery._resume_streams

#: What somebody draws who wants to see the worker in trouble.
TROUBLE = png(picture([0, 0, 0, 0, 0, 0, 0, 1]))
#: How long the dawdler looks at it.
DAWDLE_SECONDS = 2.0
#: How often one goes back, after how many seconds each time, and how long it looks at anything.
RETURNS, RETURN_SECONDS, LOOK_SECONDS = 6, 0.7, 0.2


class TroubledExaminer(StubExaminer):
    """Sees what the stand-in sees, but for one picture."""

    def __init__(self, trouble: str) -> None:
        super().__init__()
        self._trouble = trouble

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        if TROUBLE in encoded:
            match self._trouble:
                case "raises":
                    raise ZeroDivisionError("nobody has foreseen this")
                case "hangs":
                    await asyncio.Event().wait()
                case "blocks":
                    time.sleep(3600)  # noqa: ASYNC251 - the event loop itself is what gets blocked
                case "dawdles":
                    await asyncio.sleep(DAWDLE_SECONDS)
        if self._trouble == "returns":
            await asyncio.sleep(LOOK_SECONDS)
        return await super().examine(encoded)


async def _return_and_again(self: Recovery, generation_id: int = 0) -> None:
    for _ in range(RETURNS):
        await _resume(self, generation_id=generation_id)
        await asyncio.sleep(RETURN_SECONDS)


async def main(role: str, trouble: str) -> None:
    if trouble == "returns":
        Recovery._resume_streams = _return_and_again
    settings = Settings()
    database = Database(settings.ledger or "")
    await database.open()
    images = ImageStore(settings.images or "")
    await images.open(create=True)
    examiner = TroubledExaminer(trouble)
    gallery: Gallery = InMemoryGallery(STUB_SPACE)
    if settings.milvus is not None:
        gallery = MilvusGallery(settings.milvus, "", STUB_SPACE, timeout_seconds=20)
        await gallery.open(create=True)
    everything = services(
        ledger=SqlLedger(database),
        consent=SqlConsentRegister(database),
        examiner=examiner,
        lone_examiner=examiner,
        gallery=gallery,
        images=images,
        now=partial(datetime.now, UTC),
    )
    await enrol(everything, "anna", [1, 0, 0, 0, 0, 0, 0, 0])
    try:
        with metered(settings, role, ["milvus"]) as metrics:
            await work(settings, everything, ROLES[role], Patience(metrics=metrics), metrics)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
