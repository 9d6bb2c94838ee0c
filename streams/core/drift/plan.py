"""What is wanted of the charts, and the limits that follow from it."""

import hashlib
import json
from dataclasses import asdict, dataclass
from functools import cached_property

from streams.core.drift.calibration import FEWEST_SCORES

#: Ways in which one chart can raise an alert: a fall, a rise and a shift.
STATISTICS = 3


@dataclass(frozen=True)
class Plan:
    """Everything that a chart depends on beside its samples."""

    window_seconds: int = 300
    lateness_seconds: int = 60
    """A window is closed when its stream has gone on for so much longer."""
    calibration: int = 200
    """Scores, at the beginning of a stream, that say what is in control; whole windows, so a few more."""
    charts: int = 100
    """For how many charts the limits are set."""
    windows_between_false_alarms: float = 1000.0
    """Among so many charts together, in control."""
    k: float = 0.5
    """Allowance of the CUSUMs: half the shift, in standard deviations of a window, that is to be found fast."""
    weight: float = 0.1
    """Of a new window in the EWMA and the MEWMA."""

    @cached_property
    def version(self) -> str:
        """Eight hex digits of the SHA-256 over every number: charts of different plans do not mix."""
        numbers = {name: float(value) for name, value in asdict(self).items()}
        return hashlib.sha256(json.dumps(numbers, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def arl(self) -> float:
        """How many windows one statistic of one chart should run for: false alarms of many add up."""
        return self.windows_between_false_alarms * self.charts * STATISTICS

    @property
    def provisional(self) -> bool:
        """Whether the calibration is too small for run lengths that mean something."""
        return self.calibration < FEWEST_SCORES

    @cached_property
    def cusum_limit(self) -> float:
        """Of both CUSUMs. Takes seconds, the first time in a process."""
        from streams.core.drift.limits import guaranteed_cusum_limit  # brings scipy, which only those need who chart

        return guaranteed_cusum_limit(self.arl, k=self.k, scores=self.calibration)

    def shift_limit(self, dimensions: int) -> float:
        """Return h4 of a MEWMA of so many dimensions."""
        from streams.core.drift.limits import mewma_limit

        return mewma_limit(self.arl, dimensions=dimensions, weight=self.weight)
