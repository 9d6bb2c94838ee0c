"""The report of a replay: one HTML file that needs nothing beside itself, the same bytes for the same replay."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from streams.core.gallery import Reference
from streams.core.replay.codes import codes
from streams.core.replay.gate import Ruling
from streams.tools.rates.policy_file import write_text
from streams.tools.recording.reader import Recording
from streams.tools.replay import charts
from streams.tools.replay.curves import steps
from streams.tools.replay.gathered import Gathered, gather
from streams.tools.replay.regate import Judged
from streams.tools.replay.rejudge import Again
from streams.tools.replay.result import Replayed
from streams.tools.report.pictures import Picture, picture

#: So many samples of one kind of change have a card.
CARDS = 24


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
    parts: Sequence[Judged],
    looks: Mapping[str, Again] | None,
    references: Sequence[Reference],
    gate: Sequence[Ruling],
) -> None:
    """Write the report. Blocks: it scales pictures.

    Args:
        path: Of the file.
        recording: What was replayed.
        replayed: What came of it.
        parts: The same by part.
        looks: What was seen at a second look; None where nobody looked again.
        references: Who is enrolled, in the embedding space of the replay.
        gate: What came of the rules.

    Raises:
        BadInput: If it cannot be written.
    """
    gathered = gather(recording, parts, looks)
    over_steps = steps(gathered, references)
    html = (
        _templates()
        .get_template("replay.html.j2")
        .render(
            held=recording.manifest,
            found=replayed.as_dict(gate),
            by=gathered.by,
            steps=over_steps,
            charts=charts.charts(over_steps, gathered.by),
            map=charts.map_of(gathered, references),
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
    by_change: defaultdict[tuple[int, str, str], list[int]] = defaultdict(list)
    for place in np.flatnonzero(gathered.judged & (gathered.before != gathered.after)).tolist():
        before, after = int(gathered.before[place]), int(gathered.after[place])
        if not before:
            key = (0, f"Newly flagged: {codes(after)[0].value}", "flagged")
        elif not after:
            key = (1, f"Newly accepted, was {codes(before)[0].value}", "accepted")
        else:
            key = (2, "Flagged before and now, for other reasons", "other")
        by_change[key].append(place)
    return [
        Sheet(title, tone, len(places), tuple(_card(recording, gathered, place) for place in places[:CARDS]))
        for (_, title, tone), places in sorted(by_change.items())
    ]


def _card(recording: Recording, gathered: Gathered, place: int) -> Card:
    sha256, at = gathered.image_sha256[place], gathered.group[place]
    was, now = float(gathered.was[place]), float(gathered.now[place])
    return Card(
        sample_id=gathered.sample_id[place],
        identity=gathered.identity[place],
        at="" if np.isnan(at) else f"{gathered.by} {at:g}",
        picture=picture(recording.image(sha256)) if sha256 else None,
        was=None if np.isnan(was) else was,
        now=None if np.isnan(now) else now,
        before=tuple(code.value for code in codes(int(gathered.before[place]))),
        after=tuple(code.value for code in codes(int(gathered.after[place]))),
    )


def _number(value: float | None, digits: int = 4) -> str:
    """Return a number for reading, with a true minus sign; a dash for none."""
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "\N{MINUS SIGN}")


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:.1f}\N{NO-BREAK SPACE}%"
