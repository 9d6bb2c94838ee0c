"""Publish what was entered into the consent register, at once; what cannot be published now, the reconciler brings."""

from datetime import UTC, datetime

from streams.client import Publisher
from streams.core.announcement import announcement
from streams.ports import ConsentRegister

#: Entries that are read at a time.
PAGE = 500


async def announce(kafka: str, register: ConsentRegister, *, of: str | None = None) -> int:
    """Publish every entry that was not published yet, of one person where one is named; return how many.

    Raises:
        DependencyUnavailable: If Kafka does not answer. Published twice, an entry says the same.
    """
    told = 0
    async with Publisher(kafka) as publisher:
        while entries := await register.unannounced(PAGE, of=of):
            for entry in entries:
                record = announcement(entry, datetime.now(UTC))
                await publisher.raw(record.topic, record.value, record.key, record.headers, at=record.time)
            await register.announced([entry.number for entry in entries])
            told += len(entries)
    return told
