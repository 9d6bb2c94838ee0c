"""Every clip as it is held, for those who look."""

from dataclasses import dataclass

from sqlalchemy import Connection, func, select

from streams.adapters.ledger.clips.rows import clip_of, clips, frames
from streams.adapters.ledger.database import Database
from streams.core.clips.gathered import Clip
from streams.events import ClipJudged


@dataclass(frozen=True)
class Shown:
    """One clip, and what is known of it."""

    clip: Clip
    samples: int
    """Those that are there; of some frames there may be several."""
    waiting: bool
    """Whether something came since it was last judged."""
    said: ClipJudged | None
    """None where it was not judged yet."""


async def shown(database: Database, *, clip_id: str | None = None) -> list[Shown]:
    """Return every clip, or those of one name, the oldest first.

    Raises:
        DependencyUnavailable: If the database does not answer.
    """

    def work(connection: Connection) -> list[Shown]:
        count = select(frames.c.clip, func.count().label("held")).group_by(frames.c.clip).subquery()
        wanted = select(clips, count.c.held).join(count, count.c.clip == clips.c.clip)
        if clip_id is not None:
            wanted = wanted.where(clips.c.clip_id == clip_id)
        rows = connection.execute(wanted.order_by(clips.c.oldest, clips.c.clip))
        return [
            Shown(
                clip=clip_of(row),
                samples=row.held,
                waiting=bool(row.waiting),
                said=None if row.body is None else ClipJudged.model_validate_json(row.body),
            )
            for row in rows
        ]

    return await database.transact(work)
