"""``likeness replay``: recorded samples judged again."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.table import Table

from streams.cli.replay.parts import RECORDED, WhichGallery, bench_for, cohort_of, opened, policy_named, standing_of
from streams.cli.replay.selection import Offsets, Run, Since, Steps, Topic, Until, selection
from streams.cli.terminal.output import Json, emit, page, say
from streams.errors import BadInput
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.core.gallery import Reference
    from streams.core.policy import Policy
    from streams.core.replay.gate import Rule, Ruling
    from streams.tools.recording.manifest import Selection
    from streams.tools.recording.reader import Recording
    from streams.tools.replay.gathered import Gatherer
    from streams.tools.replay.judged import Seen
    from streams.tools.replay.result import Replayed
    from streams.tools.replay.standing import Standing
    from streams.tools.replay.views import View

#: Exit status when a gate fails.
GATE_STATUS = 1
_Folder = Annotated[
    Path | None,
    typer.Argument(help="A recording; without one the stream itself is replayed, bounded by the options."),
]
_Policy = Annotated[
    str | None,
    typer.Option(help=f"To judge by: a name, a TOML file, or `{RECORDED}`. (default: LIKENESS_POLICY)"),
]
_FailIf = Annotated[
    list[str] | None,
    typer.Option(metavar="RULE", help="End with status 1 where this is true: 'newly_flagged > 1%', 'newly_leak >= 3'."),
]
_Report = Annotated[Path, typer.Option(help="The HTML report.")]
_View = Literal["pca", "umap"]
_Map = Annotated[_View, typer.Option("--map", help="How the report looks at embeddings; umap needs likeness-qc[umap].")]
_NoReport = Annotated[bool, typer.Option("--no-report", help="Write no report.")]
_Result = Annotated[Path | None, typer.Option(help="Write everything that was found out, sample by sample, as JSON.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        help="Judge recorded samples again, and say what would have been otherwise. Nothing is published.",
        no_args_is_help=True,
    )
    group.command()(regate)
    group.command()(rejudge)
    app.add_typer(group, name="replay", rich_help_panel="Look closer")


@dataclass(frozen=True)
class _Wish:
    """What is wanted of a replay."""

    settings: Settings
    folder: Path | None
    selection: "Selection"
    policy: str
    rules: list[str]
    report: Path | None
    map_by: _View
    result: Path | None
    as_json: bool


@dataclass
class _Looked:
    """What a replay saw, for the report."""

    gatherer: "Gatherer | None" = None
    """None where no report is wanted; so is ``view``, which the map of the report has."""
    view: "View | None" = None
    references: "Sequence[Reference] | None" = None
    """Of the gallery that was judged with; None: of the recording's."""

    @property
    def seen(self) -> "Seen":
        """What is told of every part."""
        from streams.tools.replay.judged import unseen

        return self.gatherer or unseen


def regate(
    folder: _Folder = None,
    policy: _Policy = None,
    topic: Topic = None,
    run: Run = None,
    steps: Steps = None,
    since: Since = None,
    until: Until = None,
    offsets: Offsets = None,
    fail_if: _FailIf = None,
    report: _Report = Path("replay.html"),
    no_report: _NoReport = False,
    map_by: _Map = "pca",
    result: _Result = None,
    as_json: Json = False,
) -> None:
    """Judge what was measured by another policy: nothing is computed anew.

    Consent is asked for again, now, where the ledger is known (LIKENESS_LEDGER, or the parts of `likeness up`), and
    whoever was forgotten since is left out; elsewhere the recording's register holds. Exit status 1 where a gate fails.
    """
    wanted = selection(topic, run, steps, since, until, offsets, images=not no_report)
    wish = _wish(folder, wanted, policy, fail_if, None if no_report else report, map_by, result, as_json)
    _replay(wish, _regated)


def rejudge(
    folder: _Folder = None,
    policy: _Policy = None,
    gallery: Annotated[
        WhichGallery, typer.Option(help="Who is enrolled: as it was recorded, or as it is in Milvus now.")
    ] = "recorded",
    topic: Topic = None,
    run: Run = None,
    steps: Steps = None,
    since: Since = None,
    until: Until = None,
    offsets: Offsets = None,
    fail_if: _FailIf = None,
    report: _Report = Path("replay.html"),
    no_report: _NoReport = False,
    map_by: _Map = "pca",
    result: _Result = None,
    as_json: Json = False,
) -> None:
    """Look at the images again, with the embedder, engine and precision that are set, and another gallery or policy.

    Where the embedder is another one, the recorded gallery is embedded anew from its images. Consent and whoever was
    forgotten are as `likeness replay regate` says; nobody's image is looked at who does not agree.
    """
    wanted = selection(topic, run, steps, since, until, offsets, images=True)
    wish = _wish(folder, wanted, policy, fail_if, None if no_report else report, map_by, result, as_json)
    _replay(wish, partial(_rejudged, gallery=gallery))


def _wish(
    folder: Path | None,
    wanted: "Selection",
    policy: str | None,
    rules: list[str] | None,
    report: Path | None,
    map_by: _View,
    result: Path | None,
    as_json: bool,
) -> _Wish:
    from streams.tools.rates.policy_file import require_writable

    if folder is not None and wanted.bounded:
        raise BadInput(f"a recording is replayed whole: leave out what bounds the stream, or {folder}")
    require_writable(*(path for path in (report, result) if path is not None))
    settings = read_settings()
    return _Wish(settings, folder, wanted, policy or settings.policy, rules or [], report, map_by, result, as_json)


_How = Callable[[_Wish, "Recording", "Policy", "Standing", _Looked], Awaitable["Replayed"]]


def _replay(wish: _Wish, how: _How) -> None:
    from streams.core.replay.gate import parse_rule

    rules = [parse_rule(text) for text in wish.rules]
    replayed, gate = asyncio.run(_replayed(wish, how, rules))
    if wish.as_json:
        emit(replayed.as_dict(gate) | {"report": None if wish.report is None else str(wish.report)})
    else:
        _show(replayed, gate, wish.report)
    if any(one.failed for one in gate):
        raise typer.Exit(GATE_STATUS)


async def _replayed(wish: _Wish, how: _How, rules: "list[Rule]") -> "tuple[Replayed, list[Ruling]]":
    from streams.core.replay.gate import rulings
    from streams.tools.recording.files import write_whole

    looked = _Looked() if wish.report is None else _Looked(view=_view(wish.map_by))
    async with opened(wish.folder, wish.settings, wish.selection) as recording:
        policy = policy_named(wish.policy, recording)
        standing = await standing_of(wish.settings, recording)
        if wish.report is not None:
            looked.gatherer = _gatherer(recording)
        replayed = await how(wish, recording, policy, standing, looked)
        gate = rulings(rules, replayed.tally)
        if wish.result is not None:
            write_whole(wish.result, lambda file: file.writelines(replayed.canonical()))
        if wish.report is not None:
            await asyncio.to_thread(_write_report, wish.report, recording, replayed, looked, standing, gate)
    return replayed, gate


def _view(name: _View) -> "View":
    from streams.tools.replay.views import view

    return view(name)


def _gatherer(recording: "Recording") -> "Gatherer":
    from streams.tools.replay.gathered import Gatherer

    return Gatherer(recording)


def _write_report(
    path: Path,
    recording: "Recording",
    replayed: "Replayed",
    looked: _Looked,
    standing: "Standing",
    gate: "list[Ruling]",
) -> None:
    from streams.tools.replay.report import write_report

    if looked.gatherer is not None and looked.view is not None:
        shown = standing.shown(recording.references if looked.references is None else looked.references)
        write_report(path, recording, replayed, looked.gatherer.gathered(), shown, gate, looked.view)


async def _regated(
    wish: _Wish, recording: "Recording", policy: "Policy", standing: "Standing", looked: _Looked
) -> "Replayed":
    from streams.tools.replay.regate import regate

    return regate(recording, policy, standing, seen=looked.seen)


async def _rejudged(
    wish: _Wish,
    recording: "Recording",
    policy: "Policy",
    standing: "Standing",
    looked: _Looked,
    *,
    gallery: WhichGallery,
) -> "Replayed":
    from streams.tools.replay.rejudge import rejudge

    cohort = cohort_of(policy, wish.policy, wish.settings)
    async with bench_for(wish.settings, recording, policy, standing, gallery, cohort) as (bench, version, references):
        looked.references = references
        return await rejudge(
            recording,
            bench,
            standing,
            gallery=version,
            batch_size=wish.settings.batch_size,
            seen=looked.seen,
        )


def _show(replayed: "Replayed", gate: "list[Ruling]", report: Path | None) -> None:
    found = replayed.as_dict(gate)
    table = Table("reason", "before", "after", "gained", "lost", box=None, pad_edge=False)
    for code, counts in found["by_reason"].items():
        table.add_row(code, *(str(counts[name]) for name in ("before", "after", "gained", "lost")))
    say(
        f"{found['samples']} samples by {found['policy']}: {found['changed']} changed, {found['newly_flagged']} newly"
        f" flagged, {found['newly_accepted']} newly accepted"
    )
    if found["skipped"]:
        say("skipped: " + ", ".join(f"{count} {why}" for why, count in found["skipped"].items()))
    page.print(table)
    for one in found["gate"]["rules"]:
        value = "nothing to compare" if one["value"] is None else f"{one['value']:g}{' %' if one['percent'] else ''}"
        say(f"{'FAILED' if one['failed'] else 'holds'}: not {one['rule']} (it is {value})")
    say(f"sha256: {found['sha256']}")
    if report is not None:
        say(f"report: {report}")
