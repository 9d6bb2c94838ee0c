"""The balance: every sample that was asked for, where it stands, and whatever does not add up."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Offence:
    """One sample that does not add up."""

    sample_id: str
    why: str


@dataclass(frozen=True)
class Hour:
    """The balance of the samples that were registered in one hour."""

    hour: str
    """When it began, in UTC, such as ``2026-01-31T05:00Z``."""
    requested: int
    accepted: int
    flagged: int
    dead: int
    in_flight: int
    unaccounted: int
    """So many of the hour's samples are not explained. Without any, the others add up to ``requested``."""


@dataclass(frozen=True)
class Balance:
    """``requested == accepted + flagged + dead + in_flight``, or something is wrong."""

    requested: int
    """Samples that were registered: the ledger's rows."""
    accepted: int
    """Rows whose acceptance is on its topic, or was and is older than the topic keeps."""
    flagged: int
    dead: int
    in_flight: int
    """Rows that are not decided, or decided and not yet noted as delivered."""
    unread: int
    """Samples that messages beyond the committed offset ask for and no row holds yet; not among ``requested``."""
    lost: int
    """Rows noted as delivered whose record is nowhere, and samples asked for behind the committed offset without a
    row."""
    conflicting: int
    """Samples with two different ends, or with another end than the ledger's."""
    phantom: int
    """Ends of samples that no row knows."""
    misnamed: int
    """Samples with a record that says something else than its key or its topic."""
    inexact: int
    """Samples with a record of the right value, and another key, other headers or another time than the ledger's."""
    duplicates: int
    """Records that repeat the same end of the same sample: allowed, a consumer skips them."""
    expired: int
    """Decided rows whose record is older than its topic keeps records."""
    superseded: int = 0
    """Dead letters whose samples were put back in flight: they end nothing any more."""
    overdue: int = 0
    """Rows in flight, and samples that no worker has read, for longer than they should: nobody explains them."""
    unaccounted: int = 0
    """Samples that should be there and are not explained: each one that is lost, conflicting, phantom, misnamed,
    inexact or overdue, counted once, whichever of these it is."""
    reasons: Mapping[str, int] = field(default_factory=dict)
    """Primary reason of flagged samples to their number, the most frequent first."""
    dead_reasons: Mapping[str, int] = field(default_factory=dict)
    offences: Mapping[str, tuple[Offence, ...]] = field(default_factory=dict)
    """Name of one of the counts above to the first samples that it counts, with why."""
    hours: tuple[Hour, ...] = ()
    """The same by the hour in which the row was registered, in order; hours without a row are left out. Ends without a
    row, and samples without one, are in no hour."""

    @property
    def balanced(self) -> bool:
        """Nothing is lost, nothing has two ends, and the sum is right."""
        ended = self.accepted + self.flagged + self.dead
        return self.requested == ended + self.in_flight and self.lost == 0 and self.conflicting == 0

    @property
    def exactly_judged(self) -> bool:
        """Every verdict is about the sample that its key names, on the topic that its decision names."""
        return self.misnamed == 0

    @property
    def sound(self) -> bool:
        """Balanced, and not one sample is unaccounted for."""
        return self.balanced and self.unaccounted == 0

    @property
    def settled(self) -> bool:
        """Nothing is under way any more."""
        return self.in_flight == 0 and self.unread == 0

    def as_dict(self) -> dict[str, Any]:
        """Return every count and every conclusion, as JSON can hold them."""
        conclusions = ("balanced", "exactly_judged", "sound", "settled")
        return asdict(self) | {name: getattr(self, name) for name in conclusions}
