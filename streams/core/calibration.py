"""What was measured of a policy's limits: error rates, likelihood ratios, and where every number comes from."""

from bisect import bisect_right
from itertools import pairwise
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, model_validator

from streams.events import Similarity

Rate = Annotated[float, Field(ge=0, le=1)]


class _Measured(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)


class OperatingPoint(_Measured):
    """A similarity at which one target is met, and both error rates there with their 95 % intervals over people."""

    target: str
    """Such as ``FMR 0.001``."""
    similarity: float
    """Or normalised score, where the comparator is one of these."""
    fmr: Rate
    fmr_interval: tuple[Rate, Rate]
    fnmr: Rate
    fnmr_interval: tuple[Rate, Rate]
    extrapolated: bool
    """True: fewer comparisons were made than the target needs; the similarity and its FMR rest on a fitted tail."""


class Rates(_Measured):
    """Both error rates at ascending similarities."""

    similarity: tuple[float, ...]
    """Or normalised scores, where the comparator is one of these."""
    fmr: tuple[Rate, ...]
    """Share of non-mated comparisons that come as near; nowhere below what so many comparisons can show, 3/n."""
    fnmr: tuple[Rate, ...]
    """Share of mated comparisons that stay below."""

    @model_validator(mode="after")
    def _one_table(self) -> "Rates":
        if not len(self.similarity) == len(self.fmr) == len(self.fnmr) or not self.similarity:
            raise ValueError("expected as many fmr and fnmr as similarity, and one at least")
        if any(a >= b for a, b in pairwise(self.similarity)):
            raise ValueError("expected similarity to rise")
        if any(a < b for a, b in pairwise(self.fmr)) or any(a > b for a, b in pairwise(self.fnmr)):
            raise ValueError("expected fmr to fall and fnmr to rise with similarity")
        return self

    def fmr_at(self, similarity: float) -> float:
        """Return the false match rate of a limit at this similarity: that of the next lower entry, never too small.

        Below the table every non-mated comparison comes as near.
        """
        place = bisect_right(self.similarity, similarity)
        return self.fmr[place - 1] if place else 1.0

    def not_nearer(self, similarity: float) -> float:
        """Return the share of mated comparisons that come no nearer than this: at the next entry, never too small."""
        place = bisect_right(self.similarity, similarity)
        return self.fnmr[place] if place < len(self.fnmr) else 1.0


class LikelihoodRatio(_Measured):
    """From a similarity to ln(how much more often mated comparisons have it): linear between knots, level outside."""

    similarity: tuple[Similarity, ...]
    log_ratio: tuple[float, ...]
    cllr: Annotated[float, Field(ge=0)] | None = None
    """Cost in bits, 0 is perfect and 1 is no information, of comparisons that the map was not fitted to.

    None where there were too few people for that.
    """
    min_cllr: Annotated[float, Field(ge=0)]
    """The same of the best possible map."""

    def at(self, similarity: float) -> float:
        """Return ln of the likelihood ratio at a similarity."""
        return float(np.interp(similarity, self.similarity, self.log_ratio))

    @model_validator(mode="after")
    def _one_map(self) -> "LikelihoodRatio":
        if len(self.similarity) != len(self.log_ratio) or not self.similarity:
            raise ValueError("expected as many log_ratio as similarity, and one at least")
        return self


class Errors(_Measured):
    """Both error rates of one rule, with their 95 % intervals over people."""

    fmr: Rate
    fmr_interval: tuple[Rate, Rate]
    fnmr: Rate
    fnmr_interval: tuple[Rate, Rate]


class Agreement(_Measured):
    """What it does to both error rates that two verifiers have to agree, each at its own limit."""

    mated: int
    non_mated: int
    """Comparisons that both have made."""
    first: Errors
    second: Errors
    both: Errors


class Calibration(_Measured):
    """What a policy's limits rest on."""

    measured_on: str
    """What was compared, in words."""
    scores_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    """Of all scores: the same measurement has the same digest."""
    made_with: str
    subjects: int
    mated: int
    """Mated comparisons."""
    non_mated: int
    references: int | None = None
    """Images of a person in the median: centroids of fewer, or of more, have other rates. None of pairs and samples."""
    images: int | None = None
    failures_to_acquire: int = 0
    """Images in which not exactly one face was found, or that could not be decoded: in no comparison."""
    gallery_size: int
    """For which the limit of others was set: FPIR = 1 - (1 - FMR)^N."""
    sources: dict[str, str]
    """Of each limit: where its number comes from."""
    operating_points: tuple[OperatingPoint, ...]
    rates: Rates
    likelihood_ratio: LikelihoodRatio
    smallest_p_value: Rate
    """The smallest conformal p-value that so many mated comparisons can give, 1/(n + 1)."""

    def p_value(self, rates: Rates, similarity: float) -> float:
        """Return the conformal p-value (1 + #{mated no nearer}) / (n + 1), by the steps of the table never too small.

        Args:
            rates: Those of the comparator that the similarity is of.
            similarity: Or normalised score.
        """
        return float(f"{(1 + self.mated * rates.not_nearer(similarity)) / (self.mated + 1):.4g}")
