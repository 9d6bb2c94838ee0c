"""What travels: the bodies of all messages, and the CloudEvents headers around them.

Every body is a frozen pydantic model written as JSON. A body of an unknown version is refused, an unknown field is
tolerated, so that a field can be added without a new version. Images never travel at full size: a body points at one
by its SHA-256, or brings a small one inline.
"""

import base64
from datetime import datetime
from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

#: The most bytes that an image may have to travel inside a message; larger ones go to the image store first.
INLINE_IMAGE_BYTES = 512 * 1024

#: The most bytes of an image in the image store.
IMAGE_BYTES = 10 * 1000 * 1000

#: The generator that serves a request which names none.
DEFAULT_MODEL = "face_gan"

#: The most samples that one request may ask for: all of them are registered in one transaction.
SAMPLES_PER_REQUEST = 64

#: The most frames of one clip: two minutes at 30 a second. All of them are compared with each other.
FRAMES_PER_CLIP = 3600

Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}$")]
"""An identity, model, run or source: letters, digits and ``. _ : / @ + -``, at most 200."""

SampleId = Annotated[str, Field(pattern=r"^[0-9a-f]{32}$")]
Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
#: A country, or a part of one: ISO 3166-1 alpha-2, or ISO 3166-2.
TERRITORY = r"^[A-Z]{2}(-[A-Z0-9]{1,3})?$"
Territory = Annotated[str, Field(pattern=TERRITORY)]
"""Where an image is to be shown: ``DE``, ``US-TN``."""
Similarity = Annotated[float, Field(ge=-1, le=1)]
"""Cosine similarity in [-1, 1]; larger is nearer."""


Precision = Literal["fp32", "bf16", "int8"]
"""Numbers that an embedding was computed with: 32-bit floats, 16-bit ones (bfloat16) or 8-bit integers."""


OriginalKind = Literal["photo", "training"]
"""What a sample may be a copy of: an enrolled photograph, or an image that a generator was trained on."""


class Decision(StrEnum):
    ACCEPTED = "accepted"
    FLAGGED = "flagged"


class ReasonCode(StrEnum):
    """Why a sample is flagged, the gravest first: this order picks the primary reason."""

    NO_CONSENT = "no-consent"
    COPY = "copy"
    NEAR_COPY = "near-copy"
    LEAK = "leak"
    NO_REFERENCE = "no-reference"
    NO_FACE = "no-face"
    SEVERAL_FACES = "several-faces"
    LOW_QUALITY = "low-quality"
    MISMATCH = "mismatch"
    SECOND_VERIFIER = "second-verifier"
    AMBIGUOUS = "ambiguous"


#: Reasons that say "this could not be judged" rather than "this was judged and is wrong".
ABSTENTIONS = frozenset({ReasonCode.NO_FACE, ReasonCode.SEVERAL_FACES, ReasonCode.LOW_QUALITY, ReasonCode.NO_REFERENCE})


class DeadReason(StrEnum):
    """Why a message cannot be processed at all. The list is closed."""

    BATCH_UNREADABLE = "batch-unreadable"
    NOT_JSON = "not-json"
    SCHEMA_INVALID = "schema-invalid"
    VERSION_UNKNOWN = "version-unknown"
    REQUEST_CONFLICT = "request-conflict"
    GENERATOR_REJECTED = "generator-rejected"
    IMAGE_MISSING = "image-missing"
    IMAGE_ALTERED = "image-altered"
    IMAGE_UNDECODABLE = "image-undecodable"
    IMAGE_TOO_LARGE = "image-too-large"
    CRASH_LOOP = "crash-loop"


class Body(BaseModel):
    """One message's body."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    version: Literal[1] = 1


class ImageRef(BaseModel):
    """Points at an image in the image store by its content."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    sha256: Sha256
    size: Annotated[int, Field(gt=0, le=2**62)]
    """Bytes."""


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


class Pictured(Body):
    """A body with an image: in the store, or inline."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["image"]}, {"required": ["inline_image"]}]},
    )

    image: ImageRef | None = None
    inline_image: str | None = None
    """A small image itself, base64; at most 512 KiB decoded."""

    @model_validator(mode="after")
    def _exactly_one_image(self) -> "Pictured":
        if (self.image is None) == (self.inline_image is None):
            raise ValueError("expected exactly one of image (a pointer) and inline_image (base64)")
        if self.inline_image is not None:
            size = len(self.inline_bytes())
            if not 0 < size <= INLINE_IMAGE_BYTES:
                raise ValueError(
                    f"inline_image has {size} bytes; allowed are 1 to {INLINE_IMAGE_BYTES}:"
                    " put it into the image store and send a pointer"
                )
        return self

    def inline_bytes(self) -> bytes:
        """Return the decoded inline image; raises ValueError where it is not base64."""
        return base64.b64decode(self.inline_image or "", validate=True)


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


class Reason(BaseModel):
    """One reason, in words and in numbers."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    code: ReasonCode
    text: str
    measured: float | None = None
    limit: float | None = None


class NearReference(BaseModel):
    """An enrolled image near a sample."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    reference_id: str
    identity: str
    similarity: Similarity


class NearOriginal(BaseModel):
    """A registered image that a sample may be a copy of, and how near it is: in bits, or as a similarity."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    original_id: str
    """The enrolled reference's id, or that of a training image."""
    kind: OriginalKind
    identity: str
    """Whom it shows; empty where nobody said."""
    image_sha256: Sha256
    """Of the image's file as it was registered."""
    mirrored: bool = False
    """The sample is nearest to the image's mirror image."""
    bits: Annotated[int, Field(ge=0)] | None = None
    """How many bits of the perceptual hashes differ, of 256."""
    similarity: Similarity | None = None
    """Of the imprints, where a network makes them."""

    @model_validator(mode="after")
    def _exactly_one_measure(self) -> "NearOriginal":
        if (self.bits is None) == (self.similarity is None):
            raise ValueError("expected exactly one of bits and similarity")
        return self

    @property
    def nearness(self) -> float:
        """The similarity, or minus the bits; larger is nearer."""
        return -float(self.bits or 0) if self.similarity is None else self.similarity


class SecondOpinion(BaseModel):
    """What a second, independent verifier measured."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    embedding_space: str
    """Its own: its similarities and limits compare with nobody else's."""
    references: Annotated[int, Field(ge=0)]
    """Of the asked identity, enrolled for it."""
    similarity: Similarity | None = None
    """To the renormalised centroid of these references; left out where there is none, or no face."""


class Explanation(BaseModel):
    """One difference between a sample and the references of whom it should show: told, and never decided by."""

    model_config = ConfigDict(frozen=True, extra="ignore", allow_inf_nan=False, use_attribute_docstrings=True)

    name: str
    """What differs, such as ``mouth``, ``skin-tone`` or ``sharpness``."""
    text: str
    z: float
    """By how many times ``noise``; of a region only what is above 0 is a difference."""
    noise: float
    """Standard deviation, in the measure's own unit, by which one more reference would differ from these."""
    references: int
    """That the sample was compared with."""


class SampleJudged(Body):
    """The verdict on one sample, with the evidence. Carries no embedding and no name of a person."""

    sample_id: SampleId
    kind: Literal["generation", "training"]
    source: str
    """Who asked, or the training run."""
    request_id: str | None = None
    step: int | None = None
    index: int
    identity: str
    model: str
    model_version: str | None = None
    seed: int | None = None
    strength: float | None = None
    territory: str | None = None
    """Where it was to be shown, as was said."""
    clip_id: str | None = None
    """The video that it is a frame of; left out where it is none."""
    frame_index: int | None = None
    frames: int | None = None
    """How many that video has, as was said."""
    image: ImageRef | None = None
    """None where consent or a missing gallery kept the sample from being made."""
    decision: Decision
    reasons: tuple[Reason, ...]
    """Empty exactly when accepted; the primary reason first."""
    similarity: Similarity | None = None
    """To the renormalised centroid of the asked identity's references."""
    normalised_similarity: float | None = None
    """The same in standard deviations above what is usual for strangers; left out where the policy compares cosines."""
    margin: float | None = None
    """``similarity`` less the similarity to the nearest other identity."""
    second: SecondOpinion | None = None
    """Of the second verifier; left out where none is set up."""
    nearest: tuple[NearReference, ...]
    originals: tuple[NearOriginal, ...] = ()
    """The registered images that the sample is nearest to as a picture, whether it is a copy or not."""
    originals_searched: int | None = None
    """How many were searched, as of a minute ago at most; left out where none are registered."""
    copy_descriptor: str | None = None
    """Fingerprint of what they were compared by."""
    precision: Precision | None = None
    """Of the embedding behind ``similarity``, ``margin`` and ``nearest``; left out: 32-bit floats."""
    similarity_error: float | None = None
    """The most by which a similarity may differ from the one in 32-bit floats; none of it could change the verdict."""
    faces: int | None = None
    """Faces found; None where there is no image."""
    face_box: tuple[float, float, float, float] | None = None
    """Left, top, right, bottom in pixels of the judged image."""
    explanations: tuple[Explanation, ...] | None = None
    """How the face differs from the references, the most first; left out where nothing was compared."""
    limits: dict[str, float]
    false_match_rate: float | None = None
    """Calibrated FMR at ``similarity``; None while the policy is uncalibrated."""
    log_likelihood_ratio: float | None = None
    """ln of how much more often the same person has this plain cosine than another one; None as above."""
    p_value: float | None = None
    """Conformal: how usual so little similarity is among those that the policy was calibrated on; None as above."""
    policy_version: str
    embedding_space: str | None = None
    gallery_version: str | None = None
    judged_at: AwareDatetime
    timings_ms: dict[str, float] = {}


class MovedBy(BaseModel):
    """A sample that moved a chart."""

    model_config = ConfigDict(frozen=True, extra="ignore", use_attribute_docstrings=True)

    sample_id: SampleId
    identity: str
    by: float
    """How far, in standard deviations of one sample in control, towards the alert."""


class DriftAlerted(Body):
    """A chart has changed its mind about a stream. The same ``alert_id`` is the same alert, whatever became of it."""

    alert_id: SampleId
    revision: Annotated[int, Field(ge=1)]
    """Counts up: the highest one holds."""
    change: Literal["raised", "cleared", "revised"]
    """``revised``: samples that came late have changed what the windows say."""
    active: bool
    """Whether the alert stands."""
    statistic: Literal["fall", "rise", "shift"]
    """Similarity fell, or rose, as one that collapses or copies does; or the mean embedding moved."""
    kind: Literal["identity", "model", "run"]
    """What the chart is of: one identity by one model version, a model, or a training run."""
    model: str | None = None
    model_version: str | None = None
    identity: str | None = None
    run_id: str | None = None
    value: float
    """Of the chart, when it rose above the limit."""
    limit: float
    since: AwareDatetime | None = None
    """When the change began, as far as the chart can tell: the start of a window."""
    raised: AwareDatetime | None = None
    """The end of the window in which the value rose above the limit; so is ``cleared`` of the one where it was over."""
    cleared: AwareDatetime | None = None
    since_step: int | None = None
    raised_step: int | None = None
    cleared_step: int | None = None
    """The same for a training run, whose windows are its steps."""
    samples: int
    """In the window that raised it."""
    moved_by: tuple[MovedBy, ...]
    """The samples that moved the chart most, the first the most."""
    calibration: int
    """Scores that say what is in control."""
    provisional: bool
    """They are so few that the run length is a guess."""
    windows_between_false_alarms: float
    """What the limit was chosen for: among all charts together, in control."""


class TrainingAdvised(Body):
    """What the samples of one step of a training run say, and what to do."""

    run_id: str
    step: int
    revision: Annotated[int, Field(ge=1)]
    """Counts up as more samples of the step are judged: the highest one holds."""
    complete: bool
    """A later step has been seen, so no more samples of this one are waited for."""
    advice: Literal["continue", "best-so-far", "stop"]
    """``best-so-far``: this step is worse than ``best_step``, whose checkpoint should be kept."""
    reason: str
    best_step: int | None = None
    samples: int
    accepted: int
    flagged: dict[str, int]
    """Samples by reason; one with several counts with each."""
    measured: int | None = None
    """Samples with a face and a reference: what similarity and rank1 rest on."""
    similarity: float | None = None
    """Their mean similarity to the target."""
    similarity_sd: float | None = None
    rank1: float | None = None
    """Share of them that are nearer to the target than to anybody else."""
    copy_rate: float | None = None
    leak_rate: float | None = None
    abstention_rate: float | None = None
    """Shares of all samples."""
    embedded: int | None = None
    """Those measured whose embedding is there: what everything from here on rests on."""
    diversity: float | None = None
    """1 less the mean similarity of two samples of the same identity: 0 = all alike."""
    vendi: float | None = None
    """Vendi score of the step's samples: as how many different ones they count."""
    frechet: float | None = None
    """Squared Fréchet distance to the enrolled references, in the embedding space; biased upwards by few samples."""
    mmd2: float | None = None
    """Unbiased squared maximum mean discrepancy to them, kernel (x.y + 1)^2; around 0 where they are alike."""
    precision: float | None = None
    """Share of samples in reach of a reference, which is how far its fifth nearest is (Kynkäänniemi et al. 2019)."""
    recall: float | None = None
    """Share of references in reach of a sample, which is how far its fifth nearest is."""
    density: float | None = None
    """How many references' reach a sample lies in, in units of five (Naeem et al. 2020): 1 where both are alike."""
    coverage: float | None = None
    """Share of references that have a sample in their reach. These four: from 20 samples and 20 references on."""
    references: int = 0
    """Enrolled references that the step was compared with."""
    references_diversity: float | None = None
    references_vendi: float | None = None
    """The same of the references: what diversity and Vendi score may come down to."""
    embedding_space: str | None = None


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


class ConsentChanged(Body):
    """One entry of the consent register: somebody agreed to something, or does so no longer."""

    entry: Annotated[int, Field(ge=1)]
    """Its number in the register. The same entry may come twice, and then says the same."""
    identity: str
    kind: Literal["granted", "withdrawn"]
    at: AwareDatetime
    """From when on it holds. A withdrawal ends every grant that was entered before it or is dated before it."""
    purpose: Literal["training", "generation", "protection"] | None = None
    """None: of a grant generation, of a withdrawal everything."""
    models: tuple[str, ...] = ()
    """What a grant is limited to, ``model`` or ``model@version``; none: no limit."""
    territories: tuple[str, ...] = ()
    """What a grant is limited to, ISO 3166 codes; none: no limit."""
    expires: AwareDatetime | None = None
    evidence: str | None = None
    """SHA-256 of the file that shows it."""


#: CloudEvents ``type`` of each body: also says which schema a topic carries.
TYPES: dict[type[Body], str] = {
    GenerationRequested: "dev.likeness.generation.requested.v1",
    SampleGenerated: "dev.likeness.sample.generated.v1",
    TrainingSamplePublished: "dev.likeness.training.sample.v1",
    SampleJudged: "dev.likeness.sample.judged.v1",
    DriftAlerted: "dev.likeness.drift.alerted.v1",
    TrainingAdvised: "dev.likeness.training.advised.v1",
    ClipJudged: "dev.likeness.clip.judged.v1",
    ConsentChanged: "dev.likeness.consent.changed.v1",
}

Headers = tuple[tuple[str, bytes | None], ...]
"""Kafka headers, in order. Kafka allows a header without a value, and strangers send some."""

#: W3C Trace Context headers that every message hands on to the messages that follow from it.
TRACE_HEADERS = ("traceparent", "tracestate")

#: The longest value of a trace header that is handed on: what W3C asks everybody to take.
TRACE_BYTES = 512


def trace_of(headers: Headers) -> Headers:
    """Return only the trace headers, each once and none that is too long: what a stranger sends is handed on."""
    found = {name: value for name, value in headers if name in TRACE_HEADERS and len(value or b"") <= TRACE_BYTES}
    return tuple(found.items())


def cloud_event(body: Body, *, id: str, source: str, time: datetime, trace: Headers = ()) -> Headers:  # noqa: A002
    """Return the headers of CloudEvents 1.0, Kafka binary content mode (spec v1.0.2, section 3.2).

    Args:
        body: The body, which gives the type.
        id: Unique for the source: the sample id, or the request id.
        source: A URI reference that says who made the event.
        time: When it happened, with a time zone.
        trace: Trace headers to hand on.
    """
    attributes = {
        "ce_specversion": "1.0",
        "ce_id": id,
        "ce_source": source,
        "ce_type": TYPES[type(body)],
        "ce_time": time.isoformat(),
        "content-type": "application/json",
    }
    return (*((name, value.encode()) for name, value in attributes.items()), *trace)


def to_json(body: Body) -> bytes:
    """Return the body as the bytes that travel; the same body always gives the same bytes."""
    return body.model_dump_json(exclude_none=True).encode()
