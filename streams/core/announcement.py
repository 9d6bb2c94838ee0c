"""What the world is told of the consent register: one event an entry, the same whenever it is told again."""

from datetime import datetime

from streams import topics
from streams.core.consent import Entry
from streams.core.records import Record
from streams.events import ConsentChanged, cloud_event, to_json

#: ``ce_source`` of every entry; ``ce_id`` is its number.
SOURCE = "/likeness/consent"


def announcement(entry: Entry, now: datetime) -> Record:
    """Return the event of an entry, keyed by the identity, so that one person's events keep their order.

    Args:
        entry: What was entered. Its note stays here: it is for people, and may name some.
        now: For entries of which nobody knows when they were made.
    """
    body = ConsentChanged(
        entry=entry.number,
        identity=entry.identity,
        kind=entry.kind,
        at=entry.at,
        purpose=entry.purpose.value if entry.purpose else None,
        models=entry.terms.models,
        territories=entry.terms.territories,
        expires=entry.expires,
        evidence=entry.evidence,
    )
    time = entry.entered or now
    headers = cloud_event(body, id=str(entry.number), source=SOURCE, time=time)
    return Record(topics.CONSENT_EVENTS.name, entry.identity.encode(), to_json(body), headers, time)
