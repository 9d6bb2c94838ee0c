"""The verdict on one sample: the decision, its reasons and its evidence."""

from enum import StrEnum
from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from streams.events.body import Body, SampleId, Sha256, Similarity
from streams.events.images import ImageRef

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
    """The verdict on one sample, with the evidence.

    Carries no embedding; identities by the name they were enrolled under.
    """

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
    timings_ms: dict[str, float] = {}  # noqa: RUF012  pydantic copies it for each body
