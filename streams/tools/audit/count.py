"""The audit: counts every sample in the ledger and on the topics, and says whether they tell the same story.

It judges for itself: its own SQL, a consumer in no group, its own reading of the messages. What it shares with the
worker, ``audit_records`` says.
"""

import math
from datetime import UTC, datetime

from streams import topics
from streams.tools.audit.balance import Balance
from streams.tools.audit.rows import read_names, read_reopened, read_rows
from streams.tools.audit.tally import Tally
from streams.tools.audit.topics import Offsets, Topics

#: Which of the worker's consumer groups reads which topics; each name stands behind the prefix of the groups.
_READERS = {
    "generate": (topics.GENERATION_REQUESTS.name,),
    "judge": (topics.GENERATION_SAMPLES.name, topics.TRAINING_SAMPLES.name),
}


async def audit(
    kafka: str,
    ledger_url: str,
    *,
    group: str = "likeness",
    timeout_seconds: float = 30.0,
    overdue_seconds: float = math.inf,
) -> Balance:
    """Count every sample. May run at any time, beside any number of workers; it changes nothing.

    The order matters. What is committed must have a row, so commits are read before rows. What a row calls delivered
    must be on a topic, so the topics' ends are read after the rows. What is on a topic must have a row, if it was there
    before the rows were read, so the ends are also read before them. What ends a sample again had its dead letter taken
    back before, so redrives are read last.

    Args:
        kafka: Bootstrap servers.
        ledger_url: The ledger's database, as an SQLAlchemy URL.
        group: Prefix of the worker's consumer groups.
        timeout_seconds: How long Kafka or the ledger may be silent.
        overdue_seconds: A sample that has been in flight for longer is overdue, so unaccounted for.

    Raises:
        DependencyUnavailable: If Kafka or the ledger does not answer.
        BadInput: If the URL is none, or the database is no ledger.
    """
    async with Topics(kafka, timeout_seconds=timeout_seconds) as reader:
        committed: Offsets = {}
        for role, names in _READERS.items():
            held = await reader.committed(f"{group}-{role}")
            committed |= {place: offset for place, offset in held.items() if place[0] in names}
        before_rows = await reader.ends(topic.name for topic in topics.ENDS)
        rows = await read_rows(ledger_url, timeout_seconds=timeout_seconds)
        until = await reader.ends(topic.name for topic in topics.ROAD)
        reopened = await read_reopened(ledger_url, timeout_seconds=timeout_seconds)
        called = await read_names(ledger_url, timeout_seconds=timeout_seconds)
        tally = Tally(
            rows,
            committed,
            now=datetime.now(UTC),
            before_rows=before_rows,
            reopened=reopened,
            called=called,
            overdue_seconds=overdue_seconds,
        )
        async for record in reader.records(until):
            tally.see(record)
    return tally.balance()
