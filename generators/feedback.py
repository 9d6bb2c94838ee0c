"""What a training run does with the feedback on its samples: what to keep, when to end, how much identity counts."""

from dataclasses import dataclass

from streams.events import TrainingAdvised

#: Share of samples nearest to their target from which on the identity needs no more weight.
WANTED_RANK1 = 0.8

#: How many times its weight the identity loss has where no sample is nearest to its target.
MOST_EMPHASIS = 3.0


@dataclass(frozen=True)
class Course:
    """How a run goes on."""

    stop: bool = False
    best_step: int | None = None
    """The step whose checkpoint is kept."""
    emphasis: float = 1.0
    """Times the recipe's weight of the identity loss."""
    reason: str = ""


def course(advised: TrainingAdvised | None) -> Course:
    """Return what follows from the last feedback alone: a run that is taken up again reads the same and does the same.

    >>> course(None)
    Course(stop=False, best_step=None, emphasis=1.0, reason='')
    """
    if advised is None:
        return Course()
    return Course(advised.advice == "stop", advised.best_step, emphasis(advised.rank1), advised.reason)


def emphasis(rank1: float | None) -> float:
    """Return how many times its weight the identity loss counts: 1 from ``WANTED_RANK1`` on, more the less it is.

    >>> emphasis(0.9), emphasis(0.4), emphasis(0.0), emphasis(None)
    (1.0, 2.0, 3.0, 1.0)
    """
    if rank1 is None:
        return 1.0
    return 1 + (MOST_EMPHASIS - 1) * max(0.0, 1 - rank1 / WANTED_RANK1)
