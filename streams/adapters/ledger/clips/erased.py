"""What is left of clips: nothing of those who were forgotten, and nothing of those that are over for long."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection, delete, or_, select

from streams.adapters.ledger.charts.rows import outbox, unpublished
from streams.adapters.ledger.clips.rows import clip_of, clips, frames
from streams.adapters.ledger.database import Database, to_micros
from streams.adapters.ledger.forgotten import take_names
from streams.core.clips.book import told_id
from streams.core.erasure import names

#: Keys in one list.
_TOGETHER = 500


def clips_with(connection: Connection, identity: str) -> list[str]:
    """Return the clips of a person, and those that have the name in their own."""
    own = (clips.c.clip_id, clips.c.source, clips.c.model)
    named = or_(clips.c.identity == identity, *(column.contains(identity, autoescape=True) for column in own))
    rows = connection.execute(select(clips).where(named)).all()
    return sorted(
        row.clip
        for row in rows
        if row.identity == identity
        or any(names(name.encode(), identity) for name in (row.clip_id, row.source, row.model))
    )


def take_out_clips(connection: Connection, keys: Sequence[str]) -> None:
    """Delete clips with their frames and all that was told of them.

    Whoever judges one from a page of before writes nothing: the clip is not there any more.
    """
    for start in range(0, len(keys), _TOGETHER):
        some = keys[start : start + _TOGETHER]
        held = connection.execute(
            select(clips.c.clip, clips.c.revision).where(clips.c.clip.in_(some)).with_for_update()
        )
        told = [told_id(row.clip, number) for row in held for number in range(1, row.revision + 1)]
        for first in range(0, len(told), _TOGETHER):
            connection.execute(delete(outbox).where(outbox.c.id.in_(told[first : first + _TOGETHER])))
        for table in (frames, clips):
            connection.execute(delete(table).where(table.c.clip.in_(some)))


async def prune_clips(database: Database, *, before: datetime, dry_run: bool = False) -> list[str]:
    """Delete clips of which no frame was judged after ``before``; return their names.

    What was not told yet of a clip keeps it.

    Args:
        database: The ledger's.
        before: When the last frame was judged, at the latest.
        dry_run: Delete nothing, and say what would be.

    Raises:
        DependencyUnavailable: If the database does not answer.
    """

    def work(connection: Connection) -> list[str]:
        take_names(connection)  # whoever puts frames shares this: nobody finds a clip that is gone a moment later
        untold = set(connection.execute(select(outbox.c.id).where(unpublished)).scalars())
        idle = connection.execute(select(clips).where(clips.c.newest < to_micros(before)).order_by(clips.c.clip)).all()
        gone = {row.clip: clip_of(row).title for row in idle if told_id(row.clip, row.revision) not in untold}
        if not dry_run:
            take_out_clips(connection, sorted(gone))
        return sorted(gone.values())

    return await database.transact(work)
