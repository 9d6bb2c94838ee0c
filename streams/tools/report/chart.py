"""Where things are drawn: similarity over σ as one chart, and one small bar a sample."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.tools.report.levels import Level
from streams.tools.report.plane import LEFT, RIGHT, WIDTH, Dot, Scale, aside, lowest, path, similarity_ticks, tone

HEIGHT = 300
_TOP, _BOTTOM = 14, 250
#: So many samples of one level are drawn as dots.
MOST_DOTS = 150
#: The dots of one level stand this far apart at most, in pixels.
_DOTS_WIDTH = 18


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
    left: int = LEFT
    right: int = RIGHT
    bottom: int = _BOTTOM

    @property
    def line(self) -> str:
        """Points of the line through the means."""
        return path([(mark.x, mark.y) for mark in self.marks])

    @property
    def band(self) -> str:
        """Points around the band of one standard deviation."""
        above = [(mark.x, mark.top) for mark in self.marks]
        return path([*above, *((mark.x, mark.bottom) for mark in reversed(self.marks))])


@dataclass(frozen=True)
class Bar:
    """Similarity beside its limit, on a track from ``low`` to 1, in per cent of its length."""

    low: float
    filled: float
    limit: float | None


def bar(similarity: float, limit: float | None) -> Bar:
    """Return the bar of one sample; it begins at 0, at -1 where something on it is negative."""
    low = lowest([similarity, limit or 0.0])

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
    low = lowest([value for _, level, _ in known for value in level.similarities])
    scale = Scale(low, 1.0, _TOP, _BOTTOM)

    def x(strength: float) -> float:
        inner = RIGHT - LEFT - 2 * _DOTS_WIDTH
        return round(LEFT + _DOTS_WIDTH + inner * (strength - first) / (last - first), 1)

    marks = [
        Mark(
            x(strength),
            scale.y(mean),
            scale.y(mean + level.spread),
            scale.y(mean - level.spread),
            f"{strength:g}",
            mean,
        )
        for strength, level, mean in known
    ]
    dots = [
        Dot(round(x(strength) + aside(judged, _DOTS_WIDTH), 1), scale.y(judged.similarity), tone(judged))
        for strength, level, _ in known
        for judged in level.samples[:: 1 + len(level.samples) // MOST_DOTS]
        if judged.similarity is not None
    ]
    limit_y = None if limit is None else scale.y(limit)
    return Chart(tuple(marks), tuple(dots), similarity_ticks(scale), limit_y, limit)
