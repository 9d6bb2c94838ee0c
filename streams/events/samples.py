"""What is asked for, and what was made: by a served generator, or by a training run."""

from typing import Annotated

from pydantic import Field, model_validator

from streams.events.body import Body, Name, SampleId
from streams.events.images import ImageRef, Pictured

#: The generator that serves a request which names none.
DEFAULT_MODEL = "face_gan"

#: The most samples that one request may ask for: all of them are registered in one transaction.
SAMPLES_PER_REQUEST = 64

#: The most frames of one clip: two minutes at 30 a second. All of them are compared with each other.
FRAMES_PER_CLIP = 3600

#: A country, or a part of one: ISO 3166-1 alpha-2, or ISO 3166-2.
TERRITORY = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"
Territory = Annotated[str, Field(pattern=TERRITORY)]
"""Where an image is to be shown: ``DE``, ``US-TN``."""


class InClip(Body):
    """A body that may be of a frame of a video. It says which clip and which frame, or neither."""

    clip_id: Name | None = None
    """The video that this is a frame of: its frames are also judged together. Together with who asks, or with the
    training run, it names the video for ever."""
    frame_index: Annotated[int, Field(ge=0, lt=FRAMES_PER_CLIP)] | None = None
    """Which frame, from 0 on. Of a request that of its first sample: sample ``i`` is frame ``frame_index + i``."""
    frames: Annotated[int, Field(ge=1, le=FRAMES_PER_CLIP)] | None = None
    """How many frames the video has, where that is known: then it is judged as soon as they are."""

    @model_validator(mode="after")
    def _a_frame_of_a_clip(self) -> "InClip":
        if (self.clip_id is None) != (self.frame_index is None):
            raise ValueError("expected clip_id and frame_index together, or neither")
        if self.frames is not None and self.frame_index is None:
            raise ValueError("expected frames beside clip_id and frame_index: it says how many that clip has")
        last = (self.frame_index or 0) + self._samples() - 1
        most = FRAMES_PER_CLIP if self.frames is None else self.frames
        if self.frame_index is not None and last >= most:
            raise ValueError(f"frame {last} is none of a clip of {most} frames, which are counted from 0")
        return self

    def _samples(self) -> int:
        return 1


class GenerationRequested(InClip):
    """Asks for ``count`` samples of one identity. Sample ``i`` is made with the seed ``seed + i``."""

    source: Name
    """Who asks. Together with ``request_id`` it names the request for ever."""
    request_id: Name
    identity: Name
    model: Name = DEFAULT_MODEL
    seed: Annotated[int, Field(ge=0, le=2**62)] = 0
    strength: Annotated[float, Field(ge=0, le=1)] = 0.0
    """How far to wander from the identity, 0 = not at all; each model's README says what 1 means."""
    count: Annotated[int, Field(ge=1, le=SAMPLES_PER_REQUEST)] = 1
    territory: Territory | None = None
    """Where the images are to be shown; consent that is limited to territories refuses who does not say."""
    frame: ImageRef | None = None
    """A source frame in the image store, whose pose and light the samples take, for models that can: a face that fills
    it. Whoever asks answers for the consent of the person in it."""

    def _samples(self) -> int:
        return self.count


class SampleGenerated(Pictured, InClip):
    """One image that a served generator made for a request."""

    sample_id: SampleId
    source: Name
    request_id: Name
    index: Annotated[int, Field(ge=0, lt=SAMPLES_PER_REQUEST)]
    identity: Name
    model: Name
    model_version: Name
    seed: Annotated[int, Field(ge=0, lt=2**63)]
    strength: Annotated[float, Field(ge=0, le=1)]
    territory: Territory | None = None
    """As the request says."""


class TrainingSamplePublished(Pictured, InClip):
    """One image that a training run made at a step."""

    run_id: Name
    step: Annotated[int, Field(ge=0, le=2**62)]
    index: Annotated[int, Field(ge=0, le=2**62)]
    identity: Name
    model: Name
    territory: Territory | None = None
    """Where the images of this run are to be shown."""
