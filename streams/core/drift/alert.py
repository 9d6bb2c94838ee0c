"""An alert of a chart: which statistic was above its limit, since when, and the samples that moved it there."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

#: What a chart watches: the CUSUM downwards, the one upwards, and T² of the MEWMA.
Statistic = Literal["fall", "rise", "shift"]


class Mover(BaseModel):
    """A sample, and how far it moved the chart, in normal scores towards the alert."""

    model_config = ConfigDict(frozen=True)

    by: float
    sample_id: str
    identity: str


class Alert(BaseModel):
    """One time that a statistic was above its limit."""

    model_config = ConfigDict(frozen=True)

    statistic: Statistic
    raised: int
    """The window."""
    since: int
    """The first window of the change, as far as the chart can tell."""
    value: float
    limit: float
    samples: int
    """In the window that raised it."""
    moved_by: tuple[Mover, ...]
    cleared: int | None = None
