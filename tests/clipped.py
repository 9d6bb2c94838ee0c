"""Verdicts on the frames of clips, and a gallery that knows the embedding of each."""

import json
from collections.abc import Iterable
from datetime import datetime, timedelta

import numpy as np

from streams.core.similarity import similarity, unit
from streams.events import ReasonCode, SampleJudged
from streams.testing.examiner import STUB_SPACE
from streams.testing.gallery import InMemoryGallery
from streams.testing.verdicts import judged
from tests.charted import BEGIN

TOWARDS = dict(zip(("anna", "bert"), np.eye(8, dtype=np.float32), strict=False))


def clip(
    clip_id: str = "c-1",
    count: int = 24,
    *,
    frames: int | None = 24,
    identity: str = "anna",
    shows_another: range = range(0),
    flagged: Iterable[int] = (),
    begin: datetime = BEGIN,
    source: str = "shop",
) -> list[SampleJudged]:
    """Return the verdicts on a clip, ten frames a second; a few frames may show the other person, or be flagged."""
    [other] = set(TOWARDS) - {identity}
    return [
        judged(
            f"{clip_id} {identity} {index}",
            source=source,
            identity=identity,
            clip_id=clip_id,
            frame_index=index,
            frames=frames,
            judged_at=begin + timedelta(seconds=index / 10),
            similarity=similarity(_shown(index, other if index in shows_another else identity), TOWARDS[identity]),
            reasons=[ReasonCode.MISMATCH] if index in flagged else [],
        )
        for index in range(count)
    ]


def moving(verdicts: Iterable[SampleJudged], amplitude: float) -> list[dict[str, object]]:
    """Return rows of the ledger whose measurements say that a mouth opens and closes."""
    return [
        {
            "sample_id": one.sample_id,
            "kind": "generation",
            "payload": b"",
            "registered_at": 0,
            "state": "accepted",
            "attempts": 0,
            "child_deaths": 0,
            "measurement": json.dumps({"look": {"mouth-width": 1 + amplitude * ((one.frame_index or 0) % 2)}}),
        }
        for one in verdicts
    ]


async def remembered(verdicts: Iterable[SampleJudged], shows_another: range = range(0)) -> InMemoryGallery:
    """Return a gallery with the embedding of every frame; in some frames everybody looks like the other one."""
    gallery = InMemoryGallery(STUB_SPACE)
    embeddings = {}
    for one in verdicts:
        index = one.frame_index or 0
        [other] = set(TOWARDS) - {one.identity}
        embeddings[one.sample_id] = _shown(index, other if index in shows_another else one.identity)
    await gallery.remember(embeddings)
    return gallery


def _shown(index: int, who: str) -> np.ndarray:
    """Return the embedding of somebody who turns a little."""
    off = 0.1 * np.sin(index * 0.4) * np.eye(8)[6] + 0.1 * np.cos(index * 0.4) * np.eye(8)[7]
    return unit((TOWARDS[who] + off).astype(np.float32))
