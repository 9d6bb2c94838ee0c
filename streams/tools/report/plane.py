"""What every chart of the report is drawn on: a plane of pixels with similarities going up, and dots side by side."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.events import Decision, SampleJudged
from streams.tools.report.levels import abstains

#: Pixels across a drawing, and between its left edge and where the plane begins and ends.
WIDTH, LEFT, RIGHT = 620, 58, 604


@dataclass(frozen=True)
class Dot:
    """One sample, or one step of a chart."""

    x: float
    y: float
    tone: str


@dataclass(frozen=True)
class Scale:
    """Values going up from ``low`` at the pixel ``bottom`` to ``high`` at ``top``; what lies outside is drawn there."""

    low: float
    high: float
    top: float
    bottom: float

    def y(self, value: float) -> float:
        """Return the pixel of a value."""
        inside = min(self.high, max(self.low, value))
        return round(self.bottom - (self.bottom - self.top) * (inside - self.low) / (self.high - self.low), 1)


def lowest(similarities: Sequence[float]) -> float:
    """Return where an axis of these similarities begins: at 0, or at -1 where one of them is negative."""
    return -1.0 if min([0.0, *similarities]) < 0 else 0.0


def similarity_ticks(scale: Scale) -> tuple[tuple[float, str], ...]:
    """Return (y, label) of five lines across a plane of similarities."""
    steps = (0.0, 0.25, 0.5, 0.75, 1.0) if scale.low == 0 else (-1.0, -0.5, 0.0, 0.5, 1.0)
    return tuple((scale.y(value), f"{value:g}") for value in steps)


def path(points: Sequence[tuple[float, float]]) -> str:
    """Return points as SVG writes them."""
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in points)


def aside(judged: SampleJudged, width: float) -> float:
    """Return how many pixels a dot stands beside its place; the same dot always as many, so that none hides another."""
    return (int(judged.sample_id[:4], 16) / 0xFFFF - 0.5) * width


def tone(judged: SampleJudged) -> str:
    """Return ``accepted``, ``flagged`` or ``abstained``: what a sample's colour says."""
    if judged.decision is Decision.ACCEPTED:
        return "accepted"
    return "abstained" if abstains(judged) else "flagged"
