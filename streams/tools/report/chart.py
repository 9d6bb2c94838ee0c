"""Where things are drawn: similarity over σ as one chart, and one small bar a sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.events import Decision, SampleJudged
from streams.tools.report.levels import Level, abstains

WIDTH, HEIGHT = 620, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 604, 14, 250
#: So many samples of one level are drawn as dots.
MOST_DOTS = 150
#: The dots of one level stand this far apart at most, in pixels.
_DOTS_WIDTH = 18


@dataclass(frozen=True)
class Dot:
    """One sample in the chart."""

    x: float
    y: float
    tone: str


@dataclass(frozen=True)
class Mark:
    """One level in the chart."""

    x: float
    y: float
    top: float
    """One standard deviation up."""
    bottom: float
    label: str
    mean: float


@dataclass(frozen=True)
class Chart:
    """The chart's geometry, in pixels of a ``WIDTH`` x ``HEIGHT`` drawing."""

    marks: tuple[Mark, ...]
    dots: tuple[Dot, ...]
    grid: tuple[tuple[float, str], ...]
    """(y, label) of the horizontal lines."""
    limit_y: float | None
    limit: float | None
    width: int = WIDTH
    height: int = HEIGHT
    left: int = _LEFT
    right: int = _RIGHT
    bottom: int = _BOTTOM

    @property
    def line(self) -> str:
        """Points of the line through the means."""
        return " ".join(f"{mark.x:.1f},{mark.y:.1f}" for mark in self.marks)

    @property
    def band(self) -> str:
        """Points around the band of one standard deviation."""
        above = [f"{mark.x:.1f},{mark.top:.1f}" for mark in self.marks]
        below = [f"{mark.x:.1f},{mark.bottom:.1f}" for mark in reversed(self.marks)]
        return " ".join([*above, *below])


@dataclass(frozen=True)
class Bar:
    """Similarity beside its limit, on a track from ``low`` to 1, in per cent of its length."""

    low: float
    filled: float
    limit: float | None


def bar(similarity: float, limit: float | None) -> Bar:
    """Return the bar of one sample; it begins at 0, at -1 where something on it is negative."""
    low = -1.0 if min(similarity, limit or 0.0) < 0 else 0.0

    def share(value: float) -> float:
        return round(100 * (value - low) / (1 - low), 2)

    return Bar(low, share(similarity), None if limit is None else share(limit))


def chart(levels: Sequence[Level], limit: float | None) -> Chart | None:
    """Return the chart of mean similarity over σ; None where fewer than two levels have one."""
    drawn = [(level.strength, level, level.mean) for level in levels if level.strength is not None]
    known = [(strength, level, mean) for strength, level, mean in drawn if mean is not None]
    if len(known) < 2:
        return None
    first, last = known[0][0], known[-1][0]
    lowest = min([0.0, *(value for _, level, _ in known for value in level.similarities)])
    low = 0.0 if lowest >= 0 else -1.0

    def x(strength: float) -> float:
        inner = _RIGHT - _LEFT - 2 * _DOTS_WIDTH
        return round(_LEFT + _DOTS_WIDTH + inner * (strength - first) / (last - first), 1)

    def y(similarity: float) -> float:
        inside = min(1.0, max(low, similarity))
        return round(_BOTTOM - (_BOTTOM - _TOP) * (inside - low) / (1 - low), 1)

    marks = [
        Mark(x(strength), y(mean), y(mean + level.spread), y(mean - level.spread), f"{strength:g}", mean)
        for strength, level, mean in known
    ]
    dots = [
        Dot(round(x(strength) + _aside(judged), 1), y(judged.similarity), tone(judged))
        for strength, level, _ in known
        for judged in level.samples[:: 1 + len(level.samples) // MOST_DOTS]
        if judged.similarity is not None
    ]
    steps = (0.0, 0.25, 0.5, 0.75, 1.0) if low == 0 else (-1.0, -0.5, 0.0, 0.5, 1.0)
    grid = tuple((y(value), f"{value:g}") for value in steps)
    return Chart(tuple(marks), tuple(dots), grid, None if limit is None else y(limit), limit)


def tone(judged: SampleJudged) -> str:
    """Return ``accepted``, ``flagged`` or ``abstained``: what a sample's colour says."""
    if judged.decision is Decision.ACCEPTED:
        return "accepted"
    return "abstained" if abstains(judged) else "flagged"


def _aside(judged: SampleJudged) -> float:
    """Set dots of one level beside each other; always the same dot at the same place."""
    return (int(judged.sample_id[:4], 16) / 0xFFFF - 0.5) * _DOTS_WIDTH
