"""One clip's page of the book of clips: its frames as they were gathered, and the verdict that follows from them.

Turning a page is a pure function: whoever turns the same page comes to the same verdict, to the byte.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from streams import topics
from streams.core.clips.earlier import Movements, compared
from streams.core.clips.frames import Frame
from streams.core.clips.gathered import Clip, Gathered
from streams.core.clips.verdict import ClipVerdict, judge_clip
from streams.core.explain.look import Measure
from streams.core.faces import Embedding
from streams.core.records import Record
from streams.events import ClipFrame, ClipJudged, ClipMovement, cloud_event, to_json

#: ``ce_source`` of every verdict on a clip.
SOURCE = "/likeness/monitor"

_MEASURES = {measure.value: measure for measure in Measure}


@dataclass(frozen=True)
class ClipPage:
    """A clip as it is held, before it is judged."""

    clip: Clip
    edition: int
    """Counts up with everything that is written to the clip: who turns an older page turns it in vain."""
    frames: tuple[Gathered, ...]
    """At least one."""
    looks: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    """By sample id, how faces look, where that was measured."""
    earlier: tuple[Movements, ...] = ()
    """How the latest clips moved that are of the same person by the same model, and were over before this one began."""
    said: ClipJudged | None = None
    """The last that was said of it."""

    @property
    def sample_ids(self) -> tuple[str, ...]:
        """Those whose embeddings turn the page."""
        return tuple(sorted(one.sample_id for one in self.frames))


@dataclass(frozen=True)
class ClipTurned:
    """What is to be said of a clip."""

    page: ClipPage
    told: ClipJudged | None
    """None where it is what was said before."""


def turn_clip(page: ClipPage, embeddings: Mapping[str, Embedding]) -> ClipTurned:
    """Judge one clip.

    Args:
        page: As it is held.
        embeddings: Of ``page.sample_ids``, those that are there.
    """
    expected = max((one.frames for one in page.frames if one.frames is not None), default=None)
    frames = [
        Frame(
            one.index,
            one.sample_id,
            one.decision,
            one.similarity,
            embeddings.get(one.sample_id),
            {_MEASURES[name]: value for name, value in page.looks.get(one.sample_id, {}).items() if name in _MEASURES},
        )
        for one in page.frames
    ]
    said = page.said
    body = _body(page, judge_clip(frames, expected), expected, revision=said.revision if said else 1)
    if said is None:
        return ClipTurned(page, body)
    if to_json(body) == to_json(said):
        return ClipTurned(page, None)
    return ClipTurned(page, body.model_copy(update={"revision": said.revision + 1}))


def record_of_clip(told: ClipJudged, now: datetime) -> Record:
    """Return what is published; ``now`` is when it was found out."""
    headers = cloud_event(told, id=told_id(told.verdict_id, told.revision), source=SOURCE, time=now)
    return Record(topics.CLIPS_JUDGED.name, told.clip_id.encode(), to_json(told), headers, now)


def told_id(verdict_id: str, revision: int) -> str:
    """Return the id of one revision of what is said of a clip."""
    return f"{verdict_id}-{revision}"


def _body(page: ClipPage, verdict: ClipVerdict, expected: int | None, *, revision: int) -> ClipJudged:
    clip, times = page.clip, [one.at for one in page.frames]
    numbers: dict[str, Any] = asdict(verdict)
    movement = {measure.value: ClipMovement(**asdict(moved)) for measure, moved in verdict.movement.items()}
    numbers["movement"] = compared(movement, page.earlier)
    numbers["worst"] = tuple(ClipFrame(**asdict(one)) for one in verdict.worst)
    return ClipJudged(
        verdict_id=clip.key,
        revision=revision,
        clip_id=clip.clip_id,
        kind=clip.kind,
        source=clip.source,
        identity=clip.identity,
        model=clip.model,
        embedding_space=clip.space or None,
        expected=expected,
        earlier=len(page.earlier),
        first_judged_at=min(times),
        last_judged_at=max(times),
        **numbers,
    )
