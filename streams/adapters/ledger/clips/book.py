"""The book of clips on SQL, in the ledger's database.

Frames go in first, in a transaction of their own: which ones were there before is all that order could change. What is
said of a clip is written with what is to be told of it, unless somebody has written to the clip since its page was
read: then it is read again.
"""

import json
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, select, update
from sqlalchemy.sql.elements import ColumnElement

from streams.adapters.ledger.charts.rows import outbox, told_row
from streams.adapters.ledger.clips.rows import BEGINNING, clip_of, clips, clock, frame_of, frame_row, frames, new_clip
from streams.adapters.ledger.database import Database, to_micros
from streams.adapters.ledger.forgotten import names_now, share_names
from streams.adapters.ledger.rows import samples
from streams.core.clips.book import ClipPage, ClipTurned, record_of_clip, told_id
from streams.core.clips.earlier import MOST, Movements, is_news_to_later
from streams.core.clips.gathered import Gathered
from streams.events import ClipJudged, to_json

#: Clips that are judged at a time: each may have thousands of embeddings.
TOGETHER = 8
#: Clips that are looked at to choose these from.
_CHOICE = 64
#: Clips of which these are the same compare with each other.
_ALIKE = ("identity", "model", "kind", "space")


class SqlClipBook:
    """Implements ``ports.ClipBook``. What is to be told waits among that of the charts."""

    def __init__(self, database: Database, *, quiet: timedelta) -> None:
        """Use an opened database.

        Args:
            database: The ledger's.
            quiet: For how long the stream goes on without a clip before that one is complete.
        """
        self._database, self._quiet = database, quiet // timedelta(microseconds=1)

    async def put(self, gathered: Sequence[Gathered], *, until: datetime) -> None:
        """See ``ports.ClipBook``. Everybody takes the clips in one order, so that nobody waits for each other."""

        def work(connection: Connection) -> None:
            share_names(connection)
            called = names_now(connection, {one.clip.identity for one in gathered})
            by_clip: dict[str, list[Gathered]] = {}
            for one in gathered:
                if called[one.clip.identity] == one.clip.identity:
                    by_clip.setdefault(one.clip.key, []).append(one)
            keys = sorted(by_clip)
            absent = [new_clip(by_clip[key][0].clip, to_micros(by_clip[key][0].at)) for key in keys]
            self._database.insert_absent(connection, clips, absent)
            for row in _locked(connection, keys):
                self._put(connection, row, by_clip[row.clip])
            self._note(connection, to_micros(until))

        await self._database.transact(work)

    def _put(self, connection: Connection, row: Row[Any], gathered: Sequence[Gathered]) -> None:
        ids = sorted({one.sample_id for one in gathered})
        there = (frames.c.clip == row.clip, frames.c.sample_id.in_(ids))
        known = set(connection.execute(select(frames.c.sample_id).where(*there)).scalars())
        new = {one.sample_id: one for one in gathered if one.sample_id not in known}
        if not new:
            return
        self._database.insert_absent(connection, frames, [frame_row(new[name]) for name in sorted(new)])
        times = [to_micros(one.at) for one in new.values()]
        changed = {
            "edition": row.edition + 1,
            "waiting": 1,
            "whole": int(_is_whole(connection, row.clip)),
            "oldest": min(row.oldest, *times),
            "newest": max(row.newest, *times),
        }
        connection.execute(update(clips).where(clips.c.clip == row.clip).values(changed))

    def _note(self, connection: Connection, until: int) -> None:
        self._database.insert_absent(connection, clock, [{"the_only_row": 1, "until": until}])
        connection.execute(update(clock).where(clock.c.until < until).values(until=until))

    async def pages(self) -> list[ClipPage]:
        """See ``ports.ClipBook``. Of clips that compare with each other the one that began first comes first, alone."""

        def work(connection: Connection) -> list[ClipPage]:
            until = connection.execute(select(clock.c.until)).scalar()
            quiet = clips.c.newest < (BEGINNING if until is None else until - self._quiet)
            complete = select(clips).where(clips.c.waiting == 1, (clips.c.whole == 1) | quiet)
            first: dict[tuple[str, ...], Row[Any]] = {}
            for row in connection.execute(complete.order_by(clips.c.oldest, clips.c.clip).limit(_CHOICE)):
                first.setdefault(tuple(getattr(row, name) for name in _ALIKE), row)
            return [_page(connection, row) for row in list(first.values())[:TOGETHER]]

        return await self._database.transact(work)

    async def turn(self, turned: Sequence[ClipTurned], *, at: datetime) -> None:
        """See ``ports.ClipBook``."""
        by_clip = {one.page.clip.key: one for one in turned}

        def work(connection: Connection) -> None:
            for key in sorted(by_clip):
                for row in _locked(connection, [key]):  # as it is now: what was written of others may have changed it
                    if row.edition == by_clip[key].page.edition:
                        _write(connection, row, by_clip[key], at)

        await self._database.transact(work)


def _locked(connection: Connection, keys: Sequence[str]) -> list[Row[Any]]:
    """Return the clips' rows, which nobody else writes to until this transaction ends. SQLite has one lock."""
    statement = select(clips).where(clips.c.clip.in_(keys)).order_by(clips.c.clip)
    return list(connection.execute(statement.with_for_update())) if keys else []


def _is_whole(connection: Connection, clip: str) -> bool:
    """Say whether every frame is there, of as many as was said at the most."""
    of_clip = frames.c.clip == clip
    expected = connection.execute(select(func.max(frames.c.frames)).where(of_clip)).scalar()
    if expected is None:
        return False
    among = select(func.count(frames.c.frame_index.distinct())).where(of_clip, frames.c.frame_index < expected)
    return bool(connection.execute(among).scalar_one() == expected)


def _page(connection: Connection, row: Row[Any]) -> ClipPage:
    clip = clip_of(row)
    held = connection.execute(
        select(frames, samples.c.measurement)
        .outerjoin(samples, samples.c.sample_id == frames.c.sample_id)
        .where(frames.c.clip == row.clip)
        .order_by(frames.c.sample_id)
    ).all()
    looks = {one.sample_id: json.loads(one.measurement).get("look") for one in held if one.measurement is not None}
    return ClipPage(
        clip=clip,
        edition=row.edition,
        frames=tuple(frame_of(one, clip) for one in held),
        looks={name: look for name, look in looks.items() if look is not None},
        earlier=tuple(_earlier(connection, row)),
        said=None if row.body is None else ClipJudged.model_validate_json(row.body),
    )


def _alike(row: Row[Any]) -> ColumnElement[bool]:
    """Say which other clips compare with this one."""
    return and_(*(clips.c[name] == getattr(row, name) for name in _ALIKE), clips.c.clip != row.clip)


def _earlier(connection: Connection, row: Row[Any]) -> list[Movements]:
    over = select(clips.c.body).where(_alike(row), clips.c.revision > 0, clips.c.newest < row.oldest)
    latest = over.order_by(clips.c.newest.desc(), clips.c.clip.desc()).limit(MOST)
    return [ClipJudged.model_validate_json(body).movement for body in connection.execute(latest).scalars()]


def _have_compared_anew(connection: Connection, row: Row[Any], newest: int) -> None:
    """Have those clips judged again that this one is among the latest before, where it was over at ``newest``.

    Also those that were not judged yet: their pages may have been read already.
    """
    next_over = select(clips.c.newest).where(_alike(row), clips.c.revision > 0, clips.c.newest > newest)
    until = connection.execute(next_over.order_by(clips.c.newest).offset(MOST - 1).limit(1)).scalar()
    later = [_alike(row), clips.c.oldest > newest, *([clips.c.oldest <= until] if until is not None else [])]
    connection.execute(update(clips).where(*later).values(waiting=1, edition=clips.c.edition + 1))


def _write(connection: Connection, row: Row[Any], turned: ClipTurned, at: datetime) -> None:
    told, said = turned.told, turned.page.said
    changed: dict[str, Any] = {"edition": row.edition + 1, "waiting": 0}
    if told is not None:
        changed |= {"revision": told.revision, "body": to_json(told).decode()}
        entry = told_row(told_id(told.verdict_id, told.revision), record_of_clip(told, at))
        connection.execute(insert(outbox), [entry])
        if is_news_to_later(said, told):
            for newest in {to_micros(one.last_judged_at) for one in (said, told) if one is not None}:
                _have_compared_anew(connection, row, newest)
    connection.execute(update(clips).where(clips.c.clip == row.clip).values(changed))
