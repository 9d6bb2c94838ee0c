"""What an evaluation says, as plain values."""

from dataclasses import asdict, dataclass, field
from typing import Any

from streams.core.biometrics.comparisons import Comparisons
from streams.core.biometrics.rates import Det
from streams.core.biometrics.resampling import Interval
from streams.core.calibration import Agreement


@dataclass(frozen=True, eq=False)
class Figures:
    """What is read off the scores. Rates are of comparisons that were made; None where there were none.

    Accuracies are of all attempts: one that failed to acquire counts as a non-match.
    """

    mated: int
    """Comparisons of one person that were made."""
    non_mated: int
    """Comparisons of two people that were made."""
    auc: float | None = None
    eer: float | None = None
    tpr_at_fmr: dict[str, float | None] = field(default_factory=dict)
    """True match rate, 1 - FNMR, by FMR."""
    resolved: dict[str, bool] = field(default_factory=dict)
    """By FMR: whether so many non-mated comparisons can show it at all (3/n)."""
    accuracy_best: float | None = None
    """At the limit that is best for these images, which nobody knows beforehand."""
    threshold_best: float | None = None
    accuracy_policy: float | None = None
    """At the policy's limit; None where the policy does not hold for these scores."""
    threshold_policy: float | None = None
    fmr_policy: float | None = None
    fnmr_policy: float | None = None
    intervals: dict[str, Interval] = field(default_factory=dict)
    """95 %, over people, of the figures by their names."""
    curve: Det | None = None
    comparisons: Comparisons | None = None


@dataclass(frozen=True)
class Files:
    """What became of the image files."""

    images: int
    """Files that could be read."""
    failures_to_acquire: int
    """Images without a face, or that could not be decoded."""
    several_faces: int
    """Images with more than one face, of which the largest was taken."""
    failed: dict[str, str]
    """Every failure to acquire: file to why."""
    missing: dict[str, str]
    """Files that cannot be read, and why."""


@dataclass(frozen=True)
class Group:
    """The pairs of one group, at the policy's limit."""

    group: str
    pairs: int
    failed: int
    """Pairs with a failure to acquire."""
    mated: int
    """Comparisons that were made."""
    non_mated: int
    fmr: float | None
    fmr_interval: Interval | None
    """95 %, exact binomial (Clopper and Pearson): as if the pairs were independent."""
    fnmr: float | None
    fnmr_interval: Interval | None
    accuracy: float | None


@dataclass(frozen=True)
class OpenSet:
    """Searches of a gallery by people who are in it, and by people who are not."""

    gallery: int
    """People in it, besides the one who searches."""
    fpir_policy: float | None
    """Share of searches that find somebody else, at the policy's limit of others."""
    fnir_at_fpir: dict[str, float]
    """By FPIR: share of searches that do not find their own person first and above the limit that keeps this FPIR."""


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What was measured, and on what."""

    kind: str
    """``pairs`` or ``identities``."""
    figures: Figures
    pairs: int
    """Attempts: of pairs, those whose files can be read; of identities, the comparisons that were made."""
    files: Files
    policy: str
    embedding_space: str
    verdicts: dict[str, int]
    """What the policy says of the mated attempts: ``accepted``, or the gravest reason."""
    rank1: float | None = None
    """Share of searches whose nearest centroid is that of the right person."""
    pairs_failed: int = 0
    """Pairs with a failure to acquire; they are among ``pairs``."""
    pairs_left_out: int = 0
    """Pairs that name a file which cannot be read; they are not among ``pairs``."""
    contradictions: int = 0
    """Pairs that are labelled as different people though other pairs say that they are one."""
    groups: tuple[Group, ...] = ()
    open_set: OpenSet | None = None
    agreement: Agreement | None = None
    """At the policy's limits; None where the policy does not require a second verifier, or does not hold."""

    def as_dict(self) -> dict[str, Any]:
        """Return it flat and without the scores, for JSON."""
        measured = {name: value for name, value in vars(self).items() if name not in ("figures", "files")}
        figures = {name: value for name, value in vars(self.figures).items() if name not in ("curve", "comparisons")}
        nested = {
            "groups": [asdict(group) for group in self.groups],
            "open_set": asdict(self.open_set) if self.open_set else None,
            "agreement": self.agreement.model_dump(mode="json") if self.agreement else None,
        }
        return figures | vars(self.files) | measured | nested
