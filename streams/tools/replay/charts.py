"""Where the report draws: lines over steps, and the embedding space seen from its two widest directions."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from streams.core.gallery import Reference
from streams.tools.replay.curves import Step
from streams.tools.replay.gathered import Gathered
from streams.tools.replay.views import View

WIDTH, HEIGHT = 560, 260
LEFT, RIGHT, TOP, BOTTOM = 50, 546, 12, 216

#: So many steps are named below a chart, at most.
X_TICKS = 8

#: A panel of the map.
SIDE = 260
_EDGE = 12
#: What the template draws with.
SIZE = {"width": WIDTH, "height": HEIGHT, "left": LEFT, "right": RIGHT, "bottom": BOTTOM, "side": SIDE}
#: So many steps have a panel, spread over all of them.
PANELS = 8
#: So many references are on it.
MOST_RINGS = 1000
#: So many identities have a colour of their own, those with the most samples.
COLOURS = 8


@dataclass(frozen=True)
class Tick:
    """A line of the grid: where, and what stands beside it."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve; it has gaps where nothing was measured."""

    label: str
    colour: int
    points: tuple[tuple[float, float], ...]

    @property
    def path(self) -> str:
        """As SVG wants it."""
        return " ".join(f"{x:.1f},{y:.1f}" for x, y in self.points)


@dataclass(frozen=True)
class Chart:
    """Curves over the steps, in pixels."""

    title: str
    lines: tuple[Line, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]


@dataclass(frozen=True)
class Spot:
    """A sample or a reference on the map."""

    x: float
    y: float
    colour: int
    """0 = one of many."""
    flagged: bool = False


@dataclass(frozen=True)
class Panel:
    """One step on the map."""

    label: str
    samples: tuple[Spot, ...]


@dataclass(frozen=True)
class Map:
    """The embedding space, the same view in every panel."""

    panels: tuple[Panel, ...]
    references: tuple[Spot, ...]
    names: tuple[str, ...]
    """Of the identities with a colour, the first has 1."""
    shown: float | None
    """Share of the variance that this view shows, in [0, 1]; None where it is no straight view."""


T = TypeVar("T")
_Read = Callable[[Step], float | None]


def charts(steps: Sequence[Step], by: str) -> list[Chart]:
    """Return the charts that have something to show; none of fewer than two steps."""
    if len(steps) < 2:
        return []
    wanted: list[tuple[str, list[tuple[str, _Read]], bool]] = [
        (
            "Mean similarity to the target",
            [("recorded", lambda one: one.similarity_before), ("replay", lambda one: one.similarity_after)],
            False,
        ),
        (
            "Share accepted",
            [("recorded", lambda one: one.accepted_before), ("replay", lambda one: one.accepted_after)],
            True,
        ),
        ("Fréchet distance to the references", [("replay", lambda one: one.frechet)], False),
        (
            "Precision and recall against the references",
            [("precision", lambda one: one.precision), ("recall", lambda one: one.recall)],
            True,
        ),
    ]
    drawn = [_chart(title, lines, steps, share=share) for title, lines, share in wanted]
    return [one for one in drawn if one is not None]


def _chart(title: str, wanted: Sequence[tuple[str, _Read]], steps: Sequence[Step], *, share: bool) -> Chart | None:
    values = {label: [(one.at, read(one)) for one in steps] for label, read in wanted}
    known = {label: [(at, value) for at, value in each if value is not None] for label, each in values.items()}
    if len(known) == 2 and len({tuple(each) for each in known.values()}) == 1:
        known.pop("recorded", None)  # the same line twice
    everything = [value for each in known.values() for _, value in each]
    if not everything:
        return None
    low, high = (0.0, 1.0) if share else _span(everything)
    first, last = steps[0].at, steps[-1].at

    def x(at: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (at - first) / (last - first), 1)

    def y(value: float) -> float:
        return round(BOTTOM - (BOTTOM - TOP) * (value - low) / (high - low), 1)

    lines = [
        Line(label, number, tuple((x(at), y(value)) for at, value in each))
        for number, label in enumerate((label for label, _ in wanted), start=1)
        if (each := known.get(label))
    ]
    return Chart(
        title,
        tuple(lines),
        tuple(Tick(x(one.at), one.label) for one in steps[:: -(-len(steps) // X_TICKS)]),
        tuple(Tick(y(value), f"{value:.3g}".replace("-", "\N{MINUS SIGN}")) for value in np.linspace(low, high, 5)),
    )


def _span(values: Sequence[float]) -> tuple[float, float]:
    """Return the ends of an axis: 0 and 1 where that is near, else what holds the values."""
    low, high = min([0.0, *values]), max(values)
    if 0.4 < high <= 1:
        high = 1.0
    return low, high if high > low else low + 1


def map_of(gathered: Gathered, references: Sequence[Reference], view: View) -> Map | None:
    """Return the map; None where fewer than three embeddings are known.

    The view is that of everything on it, and the same for every step.
    """
    chosen = _spread(sorted({one.group for one in gathered.embedded}), PANELS)
    samples = [one for one in gathered.embedded if one.group in set(chosen)]
    enrolled = _spread(sorted(references, key=lambda one: one.reference_id), MOST_RINGS)
    vectors = [one.embedding for one in samples if one.embedding is not None] + [one.embedding for one in enrolled]
    if len(vectors) < 3 or not samples:
        return None
    flat, shown = view(np.stack(vectors).astype(np.float64))
    counted = Counter(one.identity for one in samples)
    names = sorted(counted, key=lambda name: (-counted[name], name))[:COLOURS]
    colours = {name: number for number, name in enumerate(names, start=1)}
    low, high = flat.min(axis=0), flat.max(axis=0)
    scaled = (_EDGE + (SIDE - 2 * _EDGE) * (flat - low) / np.maximum(high - low, 1e-12)).round(1).tolist()
    spots = [
        (one.group, Spot(x, y, colours.get(one.identity, 0), bool(one.after)))
        for one, (x, y) in zip(samples, scaled, strict=False)
    ]
    rings = [
        Spot(x, y, colours.get(one.identity, 0)) for one, (x, y) in zip(enrolled, scaled[len(samples) :], strict=True)
    ]
    panels = [
        Panel(gathered.groups.title(group), tuple(spot for number, spot in spots if number == group))
        for group in chosen
    ]
    return Map(tuple(panels), tuple(rings), tuple(names), shown)


def _spread(everything: Sequence[T], most: int) -> list[T]:
    """Return at most so many, evenly spread over all."""
    places = np.linspace(0, len(everything) - 1, min(most, len(everything))).astype(int).tolist()
    return [everything[place] for place in places]
