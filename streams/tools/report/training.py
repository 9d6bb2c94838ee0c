"""A training run in the report: how like its samples are at each step, where the chart passed its limit, and why."""

from collections.abc import Sequence
from dataclasses import dataclass

from streams.events import DriftAlerted, SampleJudged, TrainingAdvised
from streams.tools.report.plane import LEFT, RIGHT, WIDTH, Dot, Scale, aside, lowest, path, similarity_ticks, tone

HEIGHT = 280
TOP, BOTTOM = 26, 226
#: The dots of one step stand this far apart at most, in pixels.
_DOTS_WIDTH = 14
#: So many steps are named below a chart, at most.
_X_LABELS = 8


@dataclass(frozen=True)
class TrainingRun:
    """A training run as the monitor has measured it."""

    run_id: str
    feedback: tuple[TrainingAdvised, ...]
    """The last on each step, in order."""
    alerts: tuple[DriftAlerted, ...]
    fall: tuple[tuple[int, float], ...]
    """(step, lower CUSUM) of every step that was charted."""
    limit: float
    """Of the CUSUM."""
    calibrated_through: int | None
    """The last step of those that say what is in control; None where there were too few samples."""

    @property
    def stopped(self) -> TrainingAdvised | None:
        """What was said of the first step of which it said stop; None where it never did."""
        return next((said for said in self.feedback if said.advice == "stop"), None)

    @property
    def best_step(self) -> int | None:
        """The step whose checkpoint is to be kept, as was said last."""
        said = self.stopped or (self.feedback[-1] if self.feedback else None)
        return None if said is None else said.best_step

    @property
    def raised(self) -> DriftAlerted | None:
        """The first alert on a fall; None where there is none."""
        return next((alert for alert in self.alerts if alert.statistic == "fall"), None)


@dataclass(frozen=True)
class Panel:
    """One chart over the steps, in pixels."""

    dots: tuple[Dot, ...]
    line: str
    """Points of the curve."""
    band: str
    """Points around the band of one standard error; empty where none is drawn."""
    y_ticks: tuple[tuple[float, str], ...]
    limit_y: float | None
    limit: float | None


@dataclass(frozen=True)
class Charts:
    """Both charts, over the same steps."""

    similarity: Panel
    fall: Panel
    x_ticks: tuple[tuple[float, str], ...]
    best_x: float | None
    stop_x: float | None
    crossed_x: float | None
    """Where the CUSUM passed its limit."""
    calibration: tuple[float, float] | None
    """Left end and width of the steps that say what is in control."""
    width: int = WIDTH
    height: int = HEIGHT
    left: int = LEFT
    right: int = RIGHT
    top: int = TOP
    bottom: int = BOTTOM


def charts(run: TrainingRun, samples: Sequence[SampleJudged], limit: float | None) -> Charts | None:
    """Return the charts of a run; None where fewer than two steps are known.

    Args:
        run: What was measured.
        samples: The verdicts on its samples.
        limit: Of the similarity.
    """
    if len(run.feedback) < 2:
        return None
    apart = (RIGHT - LEFT - 4 * _DOTS_WIDTH) / (len(run.feedback) - 1)
    xs = {said.step: LEFT + 2 * _DOTS_WIDTH + apart * place for place, said in enumerate(run.feedback)}
    ticks = [(round(at, 1), f"{step:,}".replace(",", "\N{NARROW NO-BREAK SPACE}")) for step, at in xs.items()]

    def x(step: int | None) -> float | None:
        return None if step not in xs else round(xs[step], 1)

    through = run.calibrated_through
    calibration = None
    if through in xs:
        calibration = (float(LEFT), round(xs[through] + apart / 2 - LEFT, 1))
    return Charts(
        similarity=_similarity(run, samples, xs, limit),
        fall=_fall(run, xs),
        x_ticks=tuple(ticks[:: -(-len(ticks) // _X_LABELS)]),
        best_x=x(run.best_step),
        stop_x=x(run.stopped.step if run.stopped else None),
        crossed_x=x(run.raised.raised_step if run.raised else None),
        calibration=calibration,
    )


def _similarity(run: TrainingRun, samples: Sequence[SampleJudged], xs: dict[int, float], limit: float | None) -> Panel:
    known = [said for said in run.feedback if said.similarity is not None]
    low = lowest([one.similarity for one in samples if one.similarity is not None])
    scale = Scale(low, 1.0, TOP, BOTTOM)
    dots = tuple(
        Dot(round(xs[one.step] + aside(one, _DOTS_WIDTH), 1), scale.y(one.similarity), tone(one))
        for one in samples
        if one.step in xs and one.similarity is not None
    )
    errors = [(said, (said.similarity_sd or 0.0) / max(1, said.measured or 1) ** 0.5) for said in known]
    above = [(xs[said.step], scale.y((said.similarity or 0.0) + error)) for said, error in errors]
    below = [(xs[said.step], scale.y((said.similarity or 0.0) - error)) for said, error in reversed(errors)]
    middle = [(xs[said.step], scale.y(said.similarity or 0.0)) for said in known]
    limit_y = None if limit is None else scale.y(limit)
    return Panel(dots, path(middle), path([*above, *below]), similarity_ticks(scale), limit_y, limit)


def _fall(run: TrainingRun, xs: dict[int, float]) -> Panel:
    known = [(step, value) for step, value in run.fall if step in xs]
    high = 1.2 * max([run.limit, *(value for _, value in known)])
    scale = Scale(0.0, high, TOP, BOTTOM)
    dots = tuple(
        Dot(round(xs[step], 1), scale.y(value), "flagged" if value > run.limit else "accepted") for step, value in known
    )
    points = [(xs[step], scale.y(value)) for step, value in known]
    tick = max(1.0, float(round(high / 4)))
    ticks = tuple((scale.y(value), f"{value:g}") for value in (tick * place for place in range(6)) if value < high)
    return Panel(dots, path(points), "", ticks, scale.y(run.limit), run.limit)
