"""The report of a replay: one HTML file that needs nothing beside itself, the same bytes for the same replay."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from streams.core.gallery import Reference
from streams.core.replay.codes import codes
from streams.core.replay.gate import Ruling
from streams.events import ReasonCode
from streams.tools.rates.policy_file import write_text
from streams.tools.recording.reader import Recording
from streams.tools.replay import charts
from streams.tools.replay.curves import steps
from streams.tools.replay.gathered import Gathered, Shown
from streams.tools.replay.groups import MOST_GROUPS
from streams.tools.replay.result import Replayed
from streams.tools.replay.views import View, components
from streams.tools.report.pictures import Picture, picture


@dataclass(frozen=True)
class Card:
    """A sample whose verdict changed."""

    sample_id: str
    identity: str
    at: str
    """Which step it is of, or strength."""
    picture: Picture | None
    was: float | None
    now: float | None
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True)
class Sheet:
    """The samples that changed in one way."""

    title: str
    tone: str
    samples: int
    cards: tuple[Card, ...]


def write_report(
    path: Path,
    recording: Recording,
    replayed: Replayed,
    gathered: Gathered,
    references: Sequence[Reference],
    gate: Sequence[Ruling],
    view: View = components,
) -> None:
    """Write the report. Blocks: it scales pictures.

    Args:
        path: Of the file.
        recording: What was replayed.
        replayed: What came of it.
        gathered: What the report shows of it.
        references: Who is enrolled and may be shown, in the embedding space of the replay.
        gate: What came of the rules.
        view: How the map looks at embeddings.

    Raises:
        BadInput: If it cannot be written.
    """
    over_steps = steps(gathered, references, recording.names())
    html = (
        _templates()
        .get_template("replay.html.j2")
        .render(
            held=recording.manifest,
            found=replayed.as_dict(gate),
            by=gathered.groups.by,
            merged=gathered.groups.merged,
            most=MOST_GROUPS,
            steps=over_steps,
            charts=charts.charts(over_steps, gathered.groups.by),
            map=charts.map_of(gathered, references, view),
            sheets=_sheets(recording, gathered),
            size={
                name: getattr(charts, name.upper())
                for name in ("width", "height", "left", "right", "top", "bottom", "side")
            },
        )
    )
    write_text(html, path)


def _templates() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["number"] = _number
    environment.filters["percent"] = _percent
    return environment


def _sheets(recording: Recording, gathered: Gathered) -> list[Sheet]:
    """Return the samples that changed, by what they became, in the order of their ids."""
    cards: defaultdict[int, list[Card]] = defaultdict(list)
    for one in gathered.changed:
        cards[one.group].append(_card(recording, gathered.groups.by, one))
    return [
        Sheet(*_called(kind), int(gathered.kinds[kind]), tuple(cards[kind]))
        for kind in np.flatnonzero(gathered.kinds).tolist()
    ]


def _called(kind: int) -> tuple[str, str]:
    """Return the title of a kind of change, and its tone; see ``gathered.kind_of``."""
    reasons = list(ReasonCode)
    turned, reason = divmod(kind, len(reasons))
    if turned == 0:
        return f"Newly flagged: {reasons[reason]}", "flagged"
    if turned == 1:
        return f"Newly accepted, was {reasons[reason]}", "accepted"
    return "Flagged before and now, for other reasons", "other"


def _card(recording: Recording, by: str, one: Shown) -> Card:
    return Card(
        sample_id=one.sample_id,
        identity=one.identity,
        at="" if one.at is None else f"{by} {one.at:g}",
        picture=picture(recording.image(one.image_sha256)) if one.image_sha256 else None,
        was=one.was,
        now=one.now,
        before=tuple(code.value for code in codes(one.before)),
        after=tuple(code.value for code in codes(one.after)),
    )


def _number(value: float | None, digits: int = 4) -> str:
    """Return a number for reading, with a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
