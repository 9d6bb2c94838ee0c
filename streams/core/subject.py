"""What a verdict is about, whichever road it came by."""

from dataclasses import dataclass, fields
from typing import Literal

from streams.core.ids import generated_sample_id, training_sample_id
from streams.events import GenerationRequested, ImageRef, SampleGenerated, SampleJudged, TrainingSamplePublished


@dataclass(frozen=True)
class Subject:
    """One sample, described."""

    sample_id: str
    kind: Literal["generation", "training"]
    source: str
    index: int
    identity: str
    model: str
    request_id: str | None = None
    step: int | None = None
    model_version: str | None = None
    seed: int | None = None
    strength: float | None = None
    territory: str | None = None
    clip_id: str | None = None
    frame_index: int | None = None
    frames: int | None = None
    image: ImageRef | None = None


def asked(request: GenerationRequested, index: int) -> Subject:
    """Return sample ``index`` of a request, before it is made."""
    return Subject(
        sample_id=generated_sample_id(request.source, request.request_id, index),
        kind="generation",
        source=request.source,
        request_id=request.request_id,
        index=index,
        identity=request.identity,
        model=request.model,
        seed=request.seed + index,
        strength=request.strength,
        territory=request.territory,
        clip_id=request.clip_id,
        frame_index=None if request.frame_index is None else request.frame_index + index,
        frames=request.frames,
    )


def made(sample: SampleGenerated, image: ImageRef) -> Subject:
    """Return a generated sample with its image in the store."""
    return Subject(
        sample_id=sample.sample_id,
        kind="generation",
        source=sample.source,
        request_id=sample.request_id,
        index=sample.index,
        identity=sample.identity,
        model=sample.model,
        model_version=sample.model_version,
        seed=sample.seed,
        strength=sample.strength,
        territory=sample.territory,
        clip_id=sample.clip_id,
        frame_index=sample.frame_index,
        frames=sample.frames,
        image=image,
    )


def trained(sample: TrainingSamplePublished, image: ImageRef) -> Subject:
    """Return a training sample with its image in the store."""
    return Subject(
        sample_id=training_sample_id(sample.run_id, sample.step, sample.index),
        kind="training",
        source=sample.run_id,
        step=sample.step,
        index=sample.index,
        identity=sample.identity,
        model=sample.model,
        territory=sample.territory,
        clip_id=sample.clip_id,
        frame_index=sample.frame_index,
        frames=sample.frames,
        image=image,
    )


def judged(verdict: SampleJudged) -> Subject:
    """Return the sample that a verdict is about."""
    return Subject(**{one.name: getattr(verdict, one.name) for one in fields(Subject)})
