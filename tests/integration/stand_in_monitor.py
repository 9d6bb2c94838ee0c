"""A monitor on a real Kafka and ledger, and on a Milvus if one is set: ``python stand_in_monitor.py``."""

import asyncio
from datetime import UTC, datetime, timedelta
from functools import partial

from streams.adapters.ledger.charts.book import SqlChartBook
from streams.adapters.ledger.clips.book import SqlClipBook
from streams.adapters.ledger.database import Database
from streams.adapters.milvus.gallery import MilvusGallery
from streams.cli.wiring.plan import drift_plan
from streams.ports import Gallery, Monitoring
from streams.runtime.metrics import metered
from streams.runtime.patience import Patience
from streams.runtime.roles import MONITOR
from streams.runtime.worker import work
from streams.settings import Settings
from streams.testing.examiner import STUB_SPACE
from streams.testing.gallery import InMemoryGallery


async def main() -> None:
    settings = Settings()
    plan = drift_plan(settings)
    database = Database(settings.ledger or "")
    await database.open()
    clips = SqlClipBook(database, quiet=timedelta(seconds=settings.clip_quiet_seconds))
    gallery: Gallery = InMemoryGallery(STUB_SPACE)
    if settings.milvus is not None:
        gallery = MilvusGallery(settings.milvus, "", STUB_SPACE, timeout_seconds=20)
        await gallery.open(create=True)
    services = Monitoring(SqlChartBook(database, plan), clips, gallery, plan, partial(datetime.now, UTC))
    try:
        with metered(settings, MONITOR.name, ["milvus"]) as metrics:
            await work(settings, services, MONITOR, Patience(metrics=metrics), metrics)
    finally:
        await database.close()


if __name__ == "__main__":
    asyncio.run(main())
