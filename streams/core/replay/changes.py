"""What a replay says differently, as numbers that add up over parts of a recording."""

from dataclasses import dataclass, fields
from typing import Self

import numpy as np

from streams.core.replay.codes import Masks, bit
from streams.core.replay.columns import Bools
from streams.events import ReasonCode


@dataclass(frozen=True)
class ReasonCounts:
    """How often one reason was given."""

    before: int = 0
    after: int = 0
    gained: int = 0
    """Samples that it is given for now, and was not before."""
    lost: int = 0

    def plus(self, other: Self) -> Self:
        """Return both together."""
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True)
class Tally:
    """Verdicts before and after. What had no verdict before counts as a sample, and as no change."""

    samples: int
    unjudged: int
    """Of them, had no verdict before."""
    accepted: int
    """By the replay; so is ``flagged``."""
    flagged: int
    changed: int
    """Another decision, or other reasons for it."""
    newly_flagged: int
    newly_accepted: int
    by_reason: dict[ReasonCode, ReasonCounts]
    """Every reason, given or not."""

    def plus(self, other: Self) -> Self:
        """Return the tally of both sets of samples."""
        counts = {
            one.name: getattr(self, one.name) + getattr(other, one.name)
            for one in fields(self)
            if one.name != "by_reason"
        }
        return type(self)(
            **counts, by_reason={code: one.plus(other.by_reason[code]) for code, one in self.by_reason.items()}
        )


NOTHING = Tally(0, 0, 0, 0, 0, 0, 0, {code: ReasonCounts() for code in ReasonCode})


def changed(before: Masks, after: Masks, judged: Bools) -> Bools:
    """Return which samples have another verdict, or another reason for it; ``judged``: had one before."""
    rows: Bools = judged & (before != after)
    return rows


def tally(before: Masks, after: Masks, judged: Bools) -> Tally:
    """Count what n samples were said to be, and are said to be now.

    Args:
        before: Reasons of the recorded verdicts, shape (n,); anything where there was none.
        after: Reasons of the replay.
        judged: Which had a verdict before.
    """
    flagged = after != 0
    by_reason = {}
    for code in ReasonCode:
        was, now = judged & (before & bit(code) != 0), after & bit(code) != 0
        by_reason[code] = ReasonCounts(
            before=int(np.count_nonzero(was)),
            after=int(np.count_nonzero(now)),
            gained=int(np.count_nonzero(now & ~was & judged)),
            lost=int(np.count_nonzero(was & ~now)),
        )
    return Tally(
        samples=len(after),
        unjudged=int(np.count_nonzero(~judged)),
        accepted=int(np.count_nonzero(~flagged)),
        flagged=int(np.count_nonzero(flagged)),
        changed=int(np.count_nonzero(changed(before, after, judged))),
        newly_flagged=int(np.count_nonzero(judged & flagged & (before == 0))),
        newly_accepted=int(np.count_nonzero(judged & ~flagged & (before != 0))),
        by_reason=by_reason,
    )
