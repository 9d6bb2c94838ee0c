"""All that was measured on one sample. A verdict is a pure function of it, the policy and consent."""

from pydantic import BaseModel, ConfigDict

from streams.core.similarity import DECIMALS
from streams.events import NearOriginal, NearReference, Precision, SecondOpinion, Similarity


class NearOther(BaseModel):
    """An enrolled identity near the sample that is not the one asked for."""

    model_config = ConfigDict(frozen=True)

    identity: str
    similarity: Similarity
    """Of the sample to this identity's centroid."""
    resembles_target: Similarity | None = None
    """Of this identity's centroid to the target's; None where the target is not enrolled."""
    protected: bool = False


class Measurement(BaseModel):
    """Immutable, and stored beside the verdict: replaying it gives the same verdict, to the byte."""

    model_config = ConfigDict(frozen=True)

    sample_id: str
    identity: str
    """The identity that was asked for: the target."""
    embedding_space: str
    gallery_version: str
    references: int
    """Enrolled references of the target; 0 = not enrolled."""
    protected: bool = False
    """The target is enrolled only so that nobody generates it."""
    faces: int | None = None
    """Faces found; None = there is no image."""
    face_box: tuple[float, float, float, float] | None = None
    face_side: float | None = None
    landmarks: tuple[tuple[float, float], ...] = ()
    detection_probability: float | None = None
    sharpness: float | None = None
    look: dict[str, float] | None = None
    """How the face looks, by the names of ``core.explain.look.Measure``; None = of a sample that is no frame of a clip,
    or in which no face was seen."""
    similarity: Similarity | None = None
    """To the target's centroid."""
    normalised: float | None = None
    """The same, score-normalised: standard deviations above what strangers of the cohort have."""
    cohort: str | None = None
    """SHA-256 of that cohort; None = the policy asked for none."""
    second: SecondOpinion | None = None
    """Of the second verifier; None = none was set up."""
    others: tuple[NearOther, ...] = ()
    """Identities near the sample, without the target."""
    nearest: tuple[NearReference, ...] = ()
    """Nearest first, of anybody."""
    originals: tuple[NearOriginal, ...] = ()
    """The registered originals that the sample is nearest to as a picture; nearest first."""
    originals_searched: int | None = None
    """How many there were, as they were last counted; None = there were none."""
    copy_descriptor: str | None = None
    """Fingerprint of what they were compared by."""
    precision: Precision | None = None
    """Of the embedding behind every similarity here; None = 32-bit floats."""
    similarity_error: float | None = None
    """The most by which a similarity may differ from the one in 32-bit floats; None = not at all."""

    @property
    def others_by_nearness(self) -> tuple[NearOther, ...]:
        """The others, nearest first, on ties by name: the order in which they were found does not matter."""
        return tuple(sorted(self.others, key=lambda other: (-other.similarity, other.identity)))

    @property
    def margin(self) -> float | None:
        """Similarity to the target less that to the nearest other identity."""
        if self.similarity is None or not self.others:
            return None
        return round(self.similarity - self.others_by_nearness[0].similarity, DECIMALS)
