"""Contact sheets: many samples at a glance, beside whom they should show."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from streams.events import SampleJudged
from streams.tools.report.levels import Level
from streams.tools.report.pictures import Picture
from streams.tools.report.plane import tone
from streams.tools.report.training import TrainingRun

Pictures = Callable[[str], Picture | None]
"""Takes the SHA-256 of an image."""


@dataclass(frozen=True)
class Tile:
    """One sample on a sheet."""

    judged: SampleJudged
    tone: str
    picture: Picture | None
    frame: Picture | None = None
    """The source frame that its request brought."""


@dataclass(frozen=True)
class Strip:
    """The samples that should show one person."""

    identity: str
    enrolled: Picture | None
    """An enrolled image of whom they should show."""
    tiles: tuple[Tile, ...]


@dataclass(frozen=True)
class Family:
    """What one model made, summed up, and all of it at a glance."""

    model: str
    level: Level
    strips: tuple[Strip, ...]
    framed: bool
    """Whether its requests brought source frames."""


@dataclass(frozen=True)
class StepSheet:
    """One step of a training run at a glance."""

    step: int
    what: str
    """Why it is shown."""
    level: Level
    tiles: tuple[Tile, ...]


def tile(judged: SampleJudged, pictures: Pictures, frame: str | None = None) -> Tile:
    """Return one sample for a sheet; ``frame`` is the SHA-256 of its source frame."""
    shown = pictures(judged.image.sha256) if judged.image else None
    return Tile(judged, tone(judged), shown, _picture(frame, pictures))


def family(
    model: str,
    samples: Sequence[SampleJudged],
    *,
    enrolled: Mapping[str, str],
    frames: Mapping[str, str],
    pictures: Pictures,
) -> Family:
    """Return the sheet of one model.

    Args:
        model: Its name.
        samples: All that it made.
        enrolled: By identity, the SHA-256 of an enrolled image.
        frames: By request id, that of its source frame.
        pictures: What they look like.
    """
    by_identity: defaultdict[str, list[SampleJudged]] = defaultdict(list)
    for judged in sorted(samples, key=lambda one: (one.identity, one.request_id or "", one.index)):
        by_identity[judged.identity].append(judged)
    strips = tuple(
        Strip(
            identity,
            _picture(enrolled.get(identity), pictures),
            tuple(tile(judged, pictures, frames.get(judged.request_id or "")) for judged in theirs),
        )
        for identity, theirs in by_identity.items()
    )
    framed = any(judged.request_id in frames for judged in samples)
    return Family(model, Level(None, tuple(samples)), strips, framed)


def shown_steps(run: TrainingRun) -> dict[int, str]:
    """Return the steps of a training run that are worth a sheet, in order, and why."""
    found = {}
    if run.best_step is not None:
        found[run.best_step] = "the best: its checkpoint is to be kept"
    if run.stopped is not None:
        found[run.stopped.step] = "told to stop"
    return dict(sorted(found.items()))


def step_sheets(run: TrainingRun, samples: Sequence[SampleJudged], pictures: Pictures) -> list[StepSheet]:
    """Return the sheets of the steps that are worth one; the same places show the same people."""
    sheets = []
    for step, what in shown_steps(run).items():
        theirs = tuple(sorted((one for one in samples if one.step == step), key=lambda one: one.index))
        sheets.append(StepSheet(step, what, Level(None, theirs), tuple(tile(one, pictures) for one in theirs)))
    return sheets


def _picture(sha256: str | None, pictures: Pictures) -> Picture | None:
    return None if sha256 is None else pictures(sha256)
