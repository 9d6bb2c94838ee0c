"""Which clip a verdict is on a frame of, and what it says to the verdict on the clip."""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from pydantic import TypeAdapter, ValidationError

from streams.core.ids import clip_verdict_id
from streams.events import FRAMES_PER_CLIP, Decision, Name, SampleJudged

_NAME = TypeAdapter(Name)
#: Characters of the fingerprint of an embedding space, at the most.
_LONGEST_SPACE = 200


@dataclass(frozen=True)
class Clip:
    """One video of one person by one model. Who asks gives it its name; frames that cannot be compared make two."""

    clip_id: str
    kind: Literal["generation", "training"]
    source: str
    """Who asked for its frames, or the training run."""
    identity: str
    model: str
    space: str
    """Fingerprint of the embedding space of its similarities."""

    @cached_property
    def key(self) -> str:
        """The id of what is said of it."""
        return clip_verdict_id(self.clip_id, self.kind, self.source, self.identity, self.model, self.space)

    @property
    def title(self) -> str:
        """What people call it."""
        return f"{self.clip_id} of {self.source}: {self.identity} by {self.model}"


@dataclass(frozen=True)
class Gathered:
    """What one sample says to the verdict on its clip. The same sample says the same for ever."""

    clip: Clip
    sample_id: str
    index: int
    frames: int | None
    """How many the clip has, as was said with this sample."""
    at: datetime
    """When it was judged."""
    decision: Decision
    similarity: float | None
    """To the asked identity."""


def gathered(judged: SampleJudged) -> Gathered | None:
    """Return what a verdict says to its clip; None where its sample is no frame of one."""
    if judged.clip_id is None or judged.frame_index is None:
        return None
    space = judged.embedding_space or ""
    return Gathered(
        clip=Clip(judged.clip_id, judged.kind, judged.source, judged.identity, judged.model, space),
        sample_id=judged.sample_id,
        index=judged.frame_index,
        frames=judged.frames,
        at=judged.judged_at,
        decision=judged.decision,
        similarity=judged.similarity,
    )


def ungatherable(judged: SampleJudged) -> str | None:
    """Say why a verdict is on no frame that could be: strangers can write one that no sample could have."""
    if judged.clip_id is None and judged.frame_index is None:
        return None
    try:
        _NAME.validate_python(judged.clip_id)
    except ValidationError:
        return "clip_id should be a name of at most 200 letters, digits and . _ : / @ + -"
    most = FRAMES_PER_CLIP if judged.frames is None else judged.frames
    if judged.frame_index is None or not 0 <= judged.frame_index < most <= FRAMES_PER_CLIP:
        return (
            f"frame_index should be from 0 on and one of the clip's frames, of which it has at most {FRAMES_PER_CLIP}"
        )
    space = judged.embedding_space or ""
    return "embedding_space should be a fingerprint" if len(space) > _LONGEST_SPACE or "\0" in space else None
