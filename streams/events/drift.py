"""What is told of a stream: alerts of its charts."""

from typing import Annotated, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from streams.events.body import Body, SampleId


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
