"""The tables of the clips, and their rows as values."""

from typing import Any

from sqlalchemy import BigInteger, Column, Double, Index, Integer, Row, String, Table, Text

from streams.adapters.ledger.database import from_micros, metadata, to_micros
from streams.core.clips.gathered import Clip, Gathered
from streams.events import Decision

clips = Table(
    "clip",
    metadata,
    Column("clip", String(32), primary_key=True),
    Column("clip_id", String(200), nullable=False),
    Column("kind", String(16), nullable=False),
    Column("source", String(200), nullable=False),
    Column("identity", String(200), nullable=False),
    Column("model", String(200), nullable=False),
    Column("space", String(200), nullable=False),
    Column("edition", BigInteger, nullable=False),
    # 1 where something came since it was last judged.
    Column("waiting", Integer, nullable=False),
    # 1 where all frames are there that it was said to have.
    Column("whole", Integer, nullable=False),
    # When the first and the last of its frames were judged.
    Column("oldest", BigInteger, nullable=False),
    Column("newest", BigInteger, nullable=False),
    # The last that was said of it; 0 and none where nothing was.
    Column("revision", Integer, nullable=False),
    Column("body", Text),
)
Index("ix_clip_waiting", clips.c.waiting, clips.c.newest)
Index("ix_clip_identity", clips.c.identity, clips.c.newest)
# No embedding and no look: those stay in Milvus and in the ledger's rows, under the sample's id.
frames = Table(
    "clip_frame",
    metadata,
    Column("clip", String(32), primary_key=True),
    Column("sample_id", String(32), primary_key=True),
    Column("frame_index", Integer, nullable=False),
    Column("frames", Integer),
    Column("at", BigInteger, nullable=False),
    Column("decision", String(16), nullable=False),
    Column("similarity", Double),
)
# Until when the stream has gone on: the time of the last verdict that was read, on a frame of a clip or not.
clock = Table(
    "clip_clock",
    metadata,
    Column("the_only_row", Integer, primary_key=True, autoincrement=False),
    Column("until", BigInteger, nullable=False),
)

_NAMES = ("clip_id", "kind", "source", "identity", "model", "space")
#: Before every moment.
BEGINNING = -(2**62)


def new_clip(clip: Clip, at: int) -> dict[str, Any]:
    """Return the row of a clip of which a frame was judged ``at`` that time; the frame is not in it yet."""
    names = {name: getattr(clip, name) for name in _NAMES}
    nothing = {"edition": 0, "waiting": 0, "whole": 0, "oldest": at, "newest": at, "revision": 0}
    return {"clip": clip.key, **names, **nothing}


def clip_of(row: Row[Any]) -> Clip:
    """Return which clip a row is of."""
    return Clip(**{name: getattr(row, name) for name in _NAMES})


def frame_row(one: Gathered) -> dict[str, Any]:
    """Return the row of one frame."""
    return {
        "clip": one.clip.key,
        "sample_id": one.sample_id,
        "frame_index": one.index,
        "frames": one.frames,
        "at": to_micros(one.at),
        "decision": one.decision.value,
        "similarity": one.similarity,
    }


def frame_of(row: Row[Any], clip: Clip) -> Gathered:
    """Return what a row says."""
    at, decision = from_micros(row.at), Decision(row.decision)
    return Gathered(clip, row.sample_id, row.frame_index, row.frames, at, decision, row.similarity)
