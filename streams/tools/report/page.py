"""The report: one HTML file that shows what was asked for, what came out, and why. It needs nothing beside itself."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from streams.core.explain.compare import telling
from streams.events import DeadReason, Explanation, NearReference, SampleJudged
from streams.tools.report.chart import Bar, bar, chart
from streams.tools.report.levels import Level, by_reason, by_strength, choose, unmade
from streams.tools.report.pictures import Picture, picture
from streams.tools.report.plane import tone
from streams.tools.report.sheets import Pictures, family, shown_steps, step_sheets
from streams.tools.report.training import TrainingRun, charts
from streams.tools.report.words import DEAD_REASONS

#: So many samples of one strength have a card.
CARDS = 12
#: So many nearest references stand on a card.
NEAREST = 3
#: So many rows of samples without an image, and of dead letters, are listed; all are counted.
ROWS = 100


@dataclass(frozen=True)
class DeadLetter:
    """One message, or one sample of it, that could not be processed."""

    sample_id: str
    reason: str
    detail: str
    topic: str
    partition: int
    offset: int


@dataclass(frozen=True)
class ReportData:
    """Everything that the report shows. What can be counted from the verdicts is counted here, not given."""

    title: str
    created_at: datetime
    samples: Sequence[SampleJudged]
    """Every verdict, of all strengths."""
    versions: Mapping[str, str] = field(default_factory=dict)
    """What was at work, by name: policy, embedding space, gallery, models."""
    balance: Mapping[str, Any] = field(default_factory=dict)
    """The audit's balance as a dictionary; empty where nobody audited."""
    dead_letters: Sequence[DeadLetter] = ()
    references: Mapping[str, str] = field(default_factory=dict)
    """Reference id to the SHA-256 of its image."""
    image: Callable[[str], bytes | None] = lambda _sha256: None
    """Returns the encoded image of a SHA-256; None where it is gone. ``needed`` names all that are asked for."""
    note: str = ""
    """A sentence or two on what was run, for the top of the page."""
    families: Mapping[str, str] = field(default_factory=dict)
    """Models whose samples have a section of their own, each with a sentence on what it is."""
    enrolled: Mapping[str, str] = field(default_factory=dict)
    """Identity to the SHA-256 of one of their enrolled images, of those that these models were asked for."""
    frames: Mapping[str, str] = field(default_factory=dict)
    """Request id to the SHA-256 of its source frame."""
    training: TrainingRun | None = None
    """The training run whose samples have a section of their own."""

    @property
    def trained(self) -> list[SampleJudged]:
        """The samples of the training run."""
        return [one for one in self.samples if self.training is not None and one.kind == "training"]

    def made_by(self, model: str) -> list[SampleJudged]:
        """Return the samples of one of the families."""
        return [one for one in self.samples if one.kind == "generation" and one.model == model]

    @property
    def others(self) -> list[SampleJudged]:
        """The samples that are in none of these sections."""
        elsewhere = {one.sample_id for one in self.trained}
        elsewhere |= {one.sample_id for model in self.families for one in self.made_by(model)}
        return [one for one in self.samples if one.sample_id not in elsewhere]


@dataclass(frozen=True)
class Near:
    """One nearest reference on a card."""

    reference: NearReference
    picture: Picture | None


@dataclass(frozen=True)
class Card:
    """One sample on the contact sheet."""

    judged: SampleJudged
    tone: str
    picture: Picture | None
    box: tuple[float, float, float, float] | None
    """Left, top, width and height of the face, in per cent of the picture."""
    nearest: tuple[Near, ...]
    bar: Bar | None
    differences: tuple[Explanation, ...] = ()
    """How the face differs from the references, the most first; only what is worth telling."""


def write(report: ReportData, path: Path) -> None:
    """Write the report. Blocks: it scales pictures.

    Raises:
        OSError: If the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(html(report), encoding="utf-8")


def needed(report: ReportData) -> set[str]:
    """Return the SHA-256 of every image that the report will ask for, so that they can be fetched beforehand."""
    wanted = {*report.enrolled.values(), *report.frames.values()}
    steps = shown_steps(report.training) if report.training else {}
    sheets = [judged for model in report.families for judged in report.made_by(model)]
    sheets += [judged for judged in report.trained if judged.step in steps]
    wanted |= {judged.image.sha256 for judged in sheets if judged.image}
    for level in by_strength(report.others):
        for judged in choose(level, CARDS):
            wanted |= {judged.image.sha256} if judged.image else set()
            ids = [near.reference_id for near in judged.nearest[:NEAREST]]
            wanted |= {report.references[reference] for reference in ids if reference in report.references}
    return wanted


def html(report: ReportData) -> str:
    """Return the page."""
    levels = by_strength(report.others)
    pictures: Pictures = cache(lambda sha256: picture(report.image(sha256)))
    limits = {judged.limits["similarity"] for judged in report.samples if "similarity" in judged.limits}
    limit = limits.pop() if len(limits) == 1 else None
    page = _templates().get_template("report.html.j2")
    return page.render(
        report=report,
        total=Level(None, tuple(report.samples)),
        levels=levels,
        limit=limit,
        chart=chart(levels, limit),
        reasons=by_reason(report.samples),
        sheets=[(level, cards) for level, cards in _sheets(levels, report, pictures) if cards],
        families=[
            family(model, made, enrolled=report.enrolled, frames=report.frames, pictures=pictures)
            for model in report.families
            if (made := report.made_by(model))
        ],
        run=report.training,
        run_charts=charts(report.training, report.trained, limit) if report.training else None,
        run_sheets=step_sheets(report.training, report.trained, pictures) if report.training else [],
        unmade=unmade(report.samples).samples,
        dead_meaning={reason.value: DEAD_REASONS[reason] for reason in DeadReason},
        calibrated=any(judged.false_match_rate is not None for judged in report.samples),
        rows=ROWS,
    )


def _templates() -> Environment:
    folder = Path(__file__).parent / "templates"
    environment = Environment(
        loader=FileSystemLoader(folder),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    return environment


def _sheets(levels: Sequence[Level], report: ReportData, pictures: Pictures) -> list[tuple[Level, list[Card]]]:
    return [(level, [_card(judged, report, pictures) for judged in choose(level, CARDS)]) for level in levels]


def _card(judged: SampleJudged, report: ReportData, pictures: Pictures) -> Card:
    shown = pictures(judged.image.sha256) if judged.image else None
    nearest = []
    for reference in judged.nearest[:NEAREST]:
        sha256 = report.references.get(reference.reference_id)
        nearest.append(Near(reference, pictures(sha256) if sha256 else None))
    return Card(
        judged=judged,
        tone=tone(judged),
        picture=shown,
        box=_percent(judged.face_box, shown) if judged.face_box and shown else None,
        nearest=tuple(nearest),
        bar=None if judged.similarity is None else bar(judged.similarity, judged.limits.get("similarity")),
        differences=telling(judged.explanations or ()),
    )


def _percent(box: tuple[float, float, float, float], shown: Picture) -> tuple[float, float, float, float]:
    """Return left, top, width and height in per cent; a detector's box may reach over the picture's edge."""
    left, right = (min(1.0, max(0.0, x / shown.width)) for x in (box[0], box[2]))
    top, bottom = (min(1.0, max(0.0, y / shown.height)) for y in (box[1], box[3]))
    percent = (left, top, right - left, bottom - top)
    return (
        round(percent[0] * 100, 1),
        round(percent[1] * 100, 1),
        round(percent[2] * 100, 1),
        round(percent[3] * 100, 1),
    )


def _number(value: float | None, digits: int = 2) -> str:
    """Return a number for reading, with a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")
