"""The limits that verdicts rest on, and where they hold."""

import hashlib
import json
import tomllib
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from streams.core.calibration import Agreement, Calibration, Rates
from streams.core.gallery import Origin
from streams.errors import BadInput, PolicyRefused
from streams.events import Similarity

Comparator = Literal["centroid/raw", "centroid/s-norm", "pair/raw"]
"""What was compared: a probe with the renormalised centroid of a person's references, or two images; by plain cosine,
or by one that is score-normalised against a cohort of strangers. Limits of one never serve the other: images lie nearer
to their centroid than to each other."""

#: Small letters, digits and hyphens.
POLICY_NAME = r"^[a-z0-9][a-z0-9-]*$"

#: What a verdict may rest on.
JUDGED_BY: tuple[Comparator, ...] = ("centroid/raw", "centroid/s-norm")


class Limits(BaseModel):
    """Every number that a rule compares with."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    similarity: Similarity
    """Mismatch below this similarity to the target's centroid."""
    other_similarity: Similarity
    """Leak from this similarity to the centroid of anybody else upwards."""
    margin: Annotated[float, Field(ge=0, le=2)]
    """Ambiguous when the target is nearer than the next identity by less than this."""
    face_side: Annotated[float, Field(ge=0)]
    """Low quality when the face box's shorter side has fewer pixels than this."""
    sharpness: Annotated[float, Field(ge=0)]
    """Low quality when the variance of the Laplacian of the crop is below this."""
    copy_bits: Annotated[int, Field(ge=0, le=256)] = 31
    """Copy when at most so many bits of the perceptual hashes differ."""
    near_copy_bits: Annotated[int, Field(ge=0, le=256)] = 60
    """Near copy when at most so many do."""
    copy_similarity: Similarity = 0.75
    """Copy from this similarity upwards, where a network of one's own stands in for the hash."""
    near_copy_similarity: Similarity = 0.5
    """Near copy from this similarity upwards."""

    @model_validator(mode="after")
    def _copies_are_near_copies(self) -> Self:
        if self.copy_bits > self.near_copy_bits or self.copy_similarity < self.near_copy_similarity:
            raise ValueError("expected copy_bits <= near_copy_bits and copy_similarity >= near_copy_similarity")
        return self


class Domain(BaseModel):
    """Where the limits hold. They are refused anywhere else."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    domain: Origin
    embedding_space: str
    """Fingerprint of the embedding space."""
    comparator: Comparator


class Normalisation(BaseModel):
    """How similarity to the target is score-normalised, and the limit that takes the place of the plain one.

    Whom else a sample resembles, and by which margin, stays a matter of plain cosines: a search finds by these.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    cohort: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """SHA-256 of the file of strangers that lies beside the policy: without it the policy is refused."""
    strangers: Annotated[int, Field(ge=2)]
    top: Annotated[int, Field(ge=2)]
    """So many of them, the nearest, say what is usual for a face."""
    limit: Annotated[float, Field(allow_inf_nan=False)]
    """Mismatch below so many standard deviations above what is usual for strangers."""
    provenance: str
    """Where the limit comes from."""
    rates: Rates | None = None
    """Both error rates at normalised scores; None where nobody has measured them."""

    @property
    def file_name(self) -> str:
        """Name of the file of strangers."""
        return f"cohort-{self.cohort[:16]}.npy"


class Second(BaseModel):
    """A second verifier that has to agree: nobody is accepted whom it does not see too."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    embedding_space: str
    """Fingerprint of its own embedding space."""
    similarity: Similarity
    """It disagrees below this similarity to the centroid of the target's references in its own space."""
    provenance: str
    """Where the number comes from."""
    effect: Agreement | None = None
    """What requiring agreement does to both error rates; None where nobody has measured it."""


class Policy(BaseModel):
    """A named set of limits. Its version says by content which one it is."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=POLICY_NAME)]
    calibrated: bool
    """False: the limits are provisional, no error rate is known for them."""
    provenance: str
    """Where the numbers come from."""
    holds_for: Domain
    limits: Limits
    normalisation: Normalisation | None = None
    """Exactly where the comparator is ``centroid/s-norm``."""
    second: Second | None = None
    """None: one verifier is enough."""
    calibration: Calibration | None = None
    """What ``likeness calibrate`` measured; None while the policy is uncalibrated."""

    @model_validator(mode="after")
    def _calibrated_is_measured(self) -> "Policy":
        if self.calibrated != (self.calibration is not None):
            raise ValueError("calibrated = true needs the table [calibration], and the table needs calibrated = true")
        return self

    @model_validator(mode="after")
    def _normalised_by_a_cohort(self) -> "Policy":
        if (self.holds_for.comparator == "centroid/s-norm") != (self.normalisation is not None):
            raise ValueError("comparator centroid/s-norm needs the table [normalisation], and the table needs it")
        return self

    @cached_property
    def version(self) -> str:
        """``name@hash``: twelve hex digits of the SHA-256 over the content; comments do not count.

        What a policy does not have does not count either: a later release with one field more has the same version.
        """
        text = json.dumps(self.model_dump(mode="json", exclude_none=True), sort_keys=True, separators=(",", ":"))
        return f"{self.name}@{hashlib.sha256(text.encode()).hexdigest()[:12]}"

    @property
    def numbers(self) -> dict[str, float]:
        """Every limit by its name."""
        limits: dict[str, float] = self.limits.model_dump()
        if self.normalisation is not None:
            limits["normalised_similarity"] = self.normalisation.limit
        if self.second is not None:
            limits["second_similarity"] = self.second.similarity
        return limits

    def false_match_rate(self, similarity: float | None, normalised: float | None = None) -> float | None:
        """Return the measured FMR at what the comparator gives; None where there is none, or nothing was measured.

        Args:
            similarity: Plain cosine.
            normalised: The same, score-normalised.
        """
        rates, score = self._compared(similarity, normalised)
        return None if rates is None or score is None else rates.fmr_at(score)

    def p_value(self, similarity: float | None, normalised: float | None = None) -> float | None:
        """Return the conformal p-value of what the comparator gives; arguments and None as of ``false_match_rate``."""
        rates, score = self._compared(similarity, normalised)
        if rates is None or score is None or self.calibration is None:
            return None
        return self.calibration.p_value(rates, score)

    def log_likelihood_ratio(self, similarity: float | None) -> float | None:
        """Return ln of the likelihood ratio at a plain cosine; None where there is none, or nothing was measured."""
        if self.calibration is None or similarity is None:
            return None
        return round(self.calibration.likelihood_ratio.at(similarity), 3)

    def _compared(self, similarity: float | None, normalised: float | None) -> tuple[Rates | None, float | None]:
        """Return the rates of the comparator, and what of both it compares."""
        if self.normalisation is not None:
            return self.normalisation.rates, normalised
        return self.calibration.rates if self.calibration else None, similarity


def parse(text: str, where: str) -> Policy:
    """Return the policy that a TOML text holds; ``where`` names the text in errors.

    Raises:
        BadInput: If it is not TOML, lacks a number, or has one too many.
    """
    try:
        return Policy.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise BadInput(f"{where} is not TOML: {error}; compare it with ops/policies/default.toml") from error
    except ValidationError as error:
        faults = "; ".join(
            f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in error.errors()
        )
        raise BadInput(f"{where} is not a policy: {faults}; compare it with ops/policies/default.toml") from error


def refuse_elsewhere(policy: Policy, *, embedding_space: str, domain: Origin | None) -> None:
    """Refuse a policy outside of where it holds. An empty gallery has no domain, and refuses nothing.

    Raises:
        PolicyRefused: If the embedding space, the gallery's domain or the comparator is another one.
    """
    if policy.holds_for.comparator not in JUDGED_BY:
        raise PolicyRefused(
            f"policy {policy.version} holds for scores of {policy.holds_for.comparator}, verdicts rest on centroids:"
            " calibrate from people's images, from the gallery or from reviewed samples instead"
        )
    if policy.holds_for.embedding_space != embedding_space:
        raise PolicyRefused(
            f"policy {policy.version} holds for embedding space {policy.holds_for.embedding_space}, this process"
            f" embeds in {embedding_space}: set LIKENESS_POLICY to a policy made for it"
        )
    if domain is not None and policy.holds_for.domain != domain:
        raise PolicyRefused(
            f"policy {policy.version} holds for {policy.holds_for.domain} references, this gallery's are {domain}:"
            f" set LIKENESS_POLICY={'synthetic' if domain is Origin.SYNTHETIC else 'default'},"
            " or to the path of a policy made for it"
        )


def refuse_without_second(policy: Policy, embedding_space: str | None) -> None:
    """Refuse a policy that requires a second verifier where there is none, or another one.

    Args:
        policy: Any policy.
        embedding_space: Of the second verifier that is set up; None where none is.

    Raises:
        PolicyRefused: If the policy requires another one.
    """
    if policy.second is None or policy.second.embedding_space == embedding_space:
        return
    wanted = policy.second.embedding_space
    raise PolicyRefused(
        f"policy {policy.version} requires that a second verifier in the embedding space {wanted} agrees, this process"
        f" has {embedding_space or 'none'}: run `pip install 'likeness-qc[second]'`, set"
        f" LIKENESS_SECOND_EMBEDDER={wanted.partition('/')[0]}, or set LIKENESS_POLICY to another policy"
    )
