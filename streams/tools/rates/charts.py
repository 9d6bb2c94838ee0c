"""Where error rates and scores are drawn: the DET on its normal-deviate axes, and both distributions of scores."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np

from streams.core.biometrics.comparisons import Comparisons, Floats
from streams.core.biometrics.rates import Det

WIDTH, HEIGHT = 620, 380
LEFT, RIGHT, TOP, BOTTOM = 64, 606, 16, 326

#: Rates that have a line in the DET, and the least and the most that are drawn on either axis.
_TICKS = (1e-5, 1e-4, 1e-3, 1e-2, 0.05, 0.2, 0.4)
_LEAST_FMR, _LEAST_FNMR, _MOST = 1e-5, 1e-3, 0.5

#: Bars of the histograms.
_BARS = 60


@dataclass(frozen=True)
class Tick:
    """A line of the grid: where, and what stands beside it."""

    at: float
    label: str


@dataclass(frozen=True)
class Line:
    """A curve."""

    label: str
    points: str


@dataclass(frozen=True)
class Spot:
    """A marked place."""

    x: float
    y: float
    label: str


@dataclass(frozen=True)
class DetChart:
    """Both error rates against each other, in pixels."""

    lines: tuple[Line, ...]
    spots: tuple[Spot, ...]
    x_ticks: tuple[Tick, ...]
    y_ticks: tuple[Tick, ...]
    unresolved: float | None
    """Left of this x the comparisons are too few to show a rate."""


@dataclass(frozen=True)
class ScoreChart:
    """Two distributions over one axis, in pixels."""

    first: str
    """Points of the polygon."""
    second: str
    x_ticks: tuple[Tick, ...]
    limits: tuple[Tick, ...]


def det_chart(
    curves: Sequence[tuple[str, Det]], points: Sequence[tuple[str, float, float]], *, resolved: float
) -> DetChart:
    """Return the DET of each curve.

    Args:
        curves: With their names.
        points: Name, FMR and FNMR of each operating point.
        resolved: The least FMR that the comparisons can show.
    """
    return DetChart(
        lines=tuple(Line(name, _polyline(curve)) for name, curve in curves),
        spots=tuple(Spot(_x_of(fmr), _y_of(fnmr), name) for name, fmr, fnmr in points),
        x_ticks=tuple(Tick(_x_of(rate), _percent(rate)) for rate in _TICKS),
        y_ticks=tuple(Tick(_y_of(rate), _percent(rate)) for rate in _TICKS if rate >= _LEAST_FNMR),
        unresolved=_x_of(resolved) if resolved > _LEAST_FMR else None,
    )


def score_chart(comparisons: Comparisons, limits: Sequence[tuple[str, float]]) -> ScoreChart:
    """Return the distributions of mated and non-mated scores, and the limits on them."""
    return distributions(comparisons.mated, comparisons.non_mated, limits)


def distributions(first: Floats, second: Floats, limits: Sequence[tuple[str, float]] = ()) -> ScoreChart:
    """Return two distributions over one axis, each with the area 1, and the limits on them."""
    everything = np.concatenate([first, second])
    low, high = float(np.floor(everything.min() * 10) / 10), float(np.ceil(everything.max() * 10) / 10)
    high = max(high, low + 0.1)
    edges = np.linspace(low, high, _BARS + 1)
    shares = [np.histogram(values, edges)[0] / len(values) for values in (first, second)]
    top = max(float(share.max()) for share in shares)

    def x(value: float) -> float:
        return round(LEFT + (RIGHT - LEFT) * (min(high, max(low, value)) - low) / (high - low), 1)

    def polygon(share: Sequence[float]) -> str:
        corners = [f"{x(low)},{BOTTOM}"]
        for left, right, height in zip(edges[:-1], edges[1:], share, strict=True):
            y = round(BOTTOM - (BOTTOM - TOP) * float(height) / top, 1)
            corners += [f"{x(left)},{y}", f"{x(right)},{y}"]
        return " ".join([*corners, f"{x(high)},{BOTTOM}"])

    step = 0.2 if high - low <= 2 else float(np.ceil((high - low) / 8))
    ticks = np.arange(np.ceil(low / step) * step, high + step / 10, step)
    return ScoreChart(
        first=polygon(list(shares[0])),
        second=polygon(list(shares[1])),
        x_ticks=tuple(Tick(x(float(value)), f"{value + 0.0:.1f}".replace("-", "\N{MINUS SIGN}")) for value in ticks),
        limits=tuple(Tick(x(value), name) for name, value in limits),
    )


def _polyline(curve: Det) -> str:
    places = (f"{_x_of(float(fmr))},{_y_of(float(fnmr))}" for fmr, fnmr in zip(curve.fmr, curve.fnmr, strict=True))
    return " ".join(dict.fromkeys(places))


def _x_of(fmr: float) -> float:
    return round(LEFT + (RIGHT - LEFT) * _share(fmr, _LEAST_FMR), 1)


def _y_of(fnmr: float) -> float:
    return round(BOTTOM - (BOTTOM - TOP) * _share(fnmr, _LEAST_FNMR), 1)


def _share(rate: float, least: float) -> float:
    """Return where a rate lies on an axis, from 0 to 1, by its normal deviate: normal scores give straight lines."""
    deviate = NormalDist().inv_cdf
    low, high = deviate(least), deviate(_MOST)
    return (deviate(min(_MOST, max(least, rate))) - low) / (high - low)


def _percent(rate: float) -> str:
    return f"{rate * 100:.6f}".rstrip("0").rstrip(".")
