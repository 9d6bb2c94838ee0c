"""What is told of a video: the verdict on its frames together."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streams.events.body import Body, SampleId, Similarity
from streams.events.verdicts import Decision


class ClipMovement(BaseModel):
    """How one measure of the face goes through a clip, in its own unit."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    mean: float
    spread: float
    """Standard deviation over time."""
    step: float
    """Median change from one frame to the next."""
    spread_z: float | None = None
    """By how many robust standard deviations ``spread`` lies above what is usual in the person's earlier clips."""
    step_z: float | None = None
    """The same of ``step``. Both are told and never decided by, and left out of fewer than five earlier clips."""


class ClipFrame(BaseModel):
    """A frame of a clip to look at first."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    index: int
    sample_id: SampleId
    similarity: Similarity | None = None
    """To the asked identity."""
    to_the_rest: Similarity | None = None
    """To the middle of the clip; left out where no face was seen."""


Stretch = tuple[int, int]
"""Frames that follow one another: the first and the last of them."""


class ClipJudged(Body):
    """The verdict on the frames of a clip together, which are of one person by one model."""

    verdict_id: SampleId
    """The same for ever for the same clip."""
    revision: Annotated[int, Field(ge=1)]
    """Counts up as frames that come late change what is said: the highest one holds."""
    clip_id: str
    kind: Literal["generation", "training"]
    source: str
    """Who asked for the frames, or the training run."""
    identity: str
    model: str
    embedding_space: str | None = None
    decision: Decision
    """Flagged where a frame is flagged by itself, or lies apart from the rest."""
    reasons: tuple[str, ...]
    """In words; empty exactly when accepted."""
    frames: int
    """That were judged."""
    expected: int | None = None
    """How many the clip has, where that was said."""
    flagged: int
    """Frames that are flagged by themselves."""
    missing: tuple[Stretch, ...]
    """Frames that are not there, of those expected; else between the first one and the last."""
    apart: tuple[Stretch, ...]
    """Frames that show somebody else than most frames do."""
    lowest: Similarity | None = None
    mean: Similarity | None = None
    """Of the frames' similarities to the asked identity."""
    drift: float | None = None
    """By how much similarity changes from the first frame to the last."""
    flicker: float | None = None
    """Median of 1 - cosine from one frame's embedding to the next."""
    flicker_most: float | None = None
    brightness_flicker: float | None = None
    """Median change of log2 brightness from one frame to the next."""
    brightness_flicker_most: float | None = None
    movement: dict[str, ClipMovement]
    """Of mouth and eyes, by the measure's name; those that two frames have at least."""
    earlier: int = 0
    """Clips of the same person by the same model that were over before this one began, and that it is compared with."""
    worst: tuple[ClipFrame, ...]
    """The worst frames, the worst first."""
    first_judged_at: AwareDatetime
    last_judged_at: AwareDatetime
    """When the first and the last of its frames were judged."""
