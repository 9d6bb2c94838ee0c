"""What travels: the bodies of all messages, and the CloudEvents headers around them.

Every body is a frozen pydantic model written as JSON. A body of an unknown version is refused, an unknown field is
tolerated, so that a field can be added without a new version. Images never travel at full size: a body points at one
by its SHA-256, or brings a small one inline.

================  ========================================================
``body``          what all bodies are
``images``        a pointer at an image, or a small image itself
``samples``       what is asked for, and what was made
``verdicts``      what was decided of a sample, and why
``dead_letters``  why a message cannot be processed
``drift``         what is told of a stream
``training``      what is told of a training run
``clips``         what is told of a video
``consent``       what is told of the consent register
``envelope``      the type of each body, headers, and the bytes that travel
================  ========================================================
"""

from streams.events.body import Body, Name, SampleId, Sha256, Similarity
from streams.events.clips import ClipFrame, ClipJudged, ClipMovement, Stretch
from streams.events.consent import ConsentChanged
from streams.events.dead_letters import DeadReason
from streams.events.drift import DriftAlerted, MovedBy
from streams.events.envelope import TRACE_BYTES, TRACE_HEADERS, TYPES, Headers, cloud_event, to_json, trace_of
from streams.events.images import IMAGE_BYTES, INLINE_IMAGE_BYTES, ImageRef, Pictured
from streams.events.samples import (
    DEFAULT_MODEL,
    FRAMES_PER_CLIP,
    SAMPLES_PER_REQUEST,
    TERRITORY,
    GenerationRequested,
    InClip,
    SampleGenerated,
    Territory,
    TrainingSamplePublished,
)
from streams.events.training import TrainingAdvised
from streams.events.verdicts import (
    ABSTENTIONS,
    Decision,
    Explanation,
    NearOriginal,
    NearReference,
    OriginalKind,
    Precision,
    Reason,
    ReasonCode,
    SampleJudged,
    SecondOpinion,
)

__all__ = [
    "ABSTENTIONS",
    "DEFAULT_MODEL",
    "FRAMES_PER_CLIP",
    "IMAGE_BYTES",
    "INLINE_IMAGE_BYTES",
    "SAMPLES_PER_REQUEST",
    "TERRITORY",
    "TRACE_BYTES",
    "TRACE_HEADERS",
    "TYPES",
    "Body",
    "ClipFrame",
    "ClipJudged",
    "ClipMovement",
    "ConsentChanged",
    "DeadReason",
    "Decision",
    "DriftAlerted",
    "Explanation",
    "GenerationRequested",
    "Headers",
    "ImageRef",
    "InClip",
    "MovedBy",
    "Name",
    "NearOriginal",
    "NearReference",
    "OriginalKind",
    "Pictured",
    "Precision",
    "Reason",
    "ReasonCode",
    "SampleGenerated",
    "SampleId",
    "SampleJudged",
    "SecondOpinion",
    "Sha256",
    "Similarity",
    "Stretch",
    "Territory",
    "TrainingAdvised",
    "TrainingSamplePublished",
    "cloud_event",
    "to_json",
    "trace_of",
]
