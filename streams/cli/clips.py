"""``likeness clips``: the frames of a video, judged together."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.output import Json, emit, page, printable, say
from streams.errors import BadInput
from streams.events import ClipMovement
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from streams.adapters.ledger.clips.shown import Shown
    from streams.core.clips.verdict import ClipVerdict
    from streams.events import ClipJudged


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(help="Frames of one video, judged together.")
    group.command()(judge)
    group.command()(show)
    app.add_typer(group, name="clips", rich_help_panel="Use")


def judge(
    folder: Annotated[Path, typer.Argument(help="Holds the frames of one clip, numbered by their names.")],
    identity: Annotated[str, typer.Option(help="Whom it should show.")],
    as_json: Json = False,
) -> None:
    """Judge a folder of frames as one clip: does it show this identity throughout, and does it flicker?

    Every frame is judged by itself, as `likeness judge` does, and then all of them together. Nothing is stored and
    nothing is published.
    """
    verdict = asyncio.run(_judge(read_settings(), folder, identity))
    if as_json:
        emit({**asdict(verdict), "decision": verdict.decision.value})
        return
    say(f"{verdict.decision.value}: {verdict.frames} frames")
    _show(verdict)


def show(
    clip_id: Annotated[
        str | None, typer.Argument(help="Only clips of this name, with all that is said of them.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show the clips of the stream, and what the monitor said of them. Needs the ledger alone."""
    found = asyncio.run(_shown(read_settings(), clip_id))
    if clip_id is not None and not found:
        raise BadInput(f"no clip {clip_id!r}: `likeness clips show` lists those that there are")
    if as_json:
        emit({"clips": [_as_dict(one) for one in found]})
        return
    if clip_id is None:
        page.print(_table(found))
        return
    for one in found:
        more = ", and something new came since" if one.waiting and one.said else ""
        said = "not judged yet" if one.said is None else f"{one.said.decision.value}, revision {one.said.revision}"
        say(f"{one.clip.title}: {said}, {_count(one)} frames{more}")
        if one.said is not None:
            _show(one.said)


async def _shown(settings: Settings, clip_id: str | None) -> "list[Shown]":
    from streams.adapters.ledger.clips.shown import shown
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database

    async with opened_database(addressed(settings, "ledger")) as database:
        return await shown(database, clip_id=clip_id)


def _as_dict(one: "Shown") -> dict[str, Any]:
    said = None if one.said is None else one.said.model_dump(mode="json", exclude_none=True)
    return {**asdict(one.clip), "samples": one.samples, "waiting": one.waiting, "verdict": said}


def _count(one: "Shown") -> str:
    if one.said is None:
        return str(one.samples)
    return f"{one.said.frames} of {one.said.expected}" if one.said.expected else str(one.said.frames)


def _table(found: "Sequence[Shown]") -> Table:
    names = ("clip", "of", "identity", "model", "frames", "decision", "lowest", "drift", "flicker", "why")
    table = Table(*names, title=f"{len(found)} clips", title_justify="left", box=None, pad_edge=False)
    for one in found:
        clip, said = one.clip, one.said
        words = [clip.clip_id, clip.source, clip.identity, clip.model, _count(one)]
        if said is None:
            words += ["not judged yet", "", "", "", ""]
        else:
            numbers = ("" if value is None else f"{value:.4f}" for value in (said.lowest, said.drift, said.flicker))
            words += [said.decision.value, *numbers, "\n".join(said.reasons)]
        table.add_row(*(escape(printable(word)) for word in words))
    return table


async def _judge(settings: Settings, folder: Path, identity: str) -> "ClipVerdict":
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.services import examining_services
    from streams.core.policy import refuse_elsewhere
    from streams.tools.judge_clip import frames_in, judge_frames

    frames = frames_in(folder)
    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    async with examining_services(settings) as services:
        domain = await services.gallery.domain()
        refuse_elsewhere(services.policy, embedding_space=services.examiner.space.fingerprint, domain=domain)
        return await judge_frames(frames, identity, services)


def _show(verdict: "ClipVerdict | ClipJudged") -> None:
    for reason in verdict.reasons:
        say(f"  {reason}")
    numbers = {
        "similarity, mean": verdict.mean,
        "similarity, lowest frame": verdict.lowest,
        "drift, first frame to last": verdict.drift,
        "flicker of the embedding, median": verdict.flicker,
        "flicker of the embedding, most": verdict.flicker_most,
        "flicker of brightness, median": verdict.brightness_flicker,
        "flicker of brightness, most": verdict.brightness_flicker_most,
    }
    movement = list(_movement(verdict))
    unusual = ["from earlier clips"] if any(z is not None for *_, z in movement) else []
    table = Table("what", "value", *unusual, box=None, pad_edge=False)
    for name, value in numbers.items():
        table.add_row(name, "" if value is None else f"{value:.4f}")
    for name, value, z in movement:
        table.add_row(name, f"{value:.4f}", *([] if z is None else [f"{z:+.1f} σ"]))
    page.print(table)
    worst = Table("worst frames", "similarity", "to the rest", box=None, pad_edge=False)
    for one in verdict.worst:
        cells = ("" if value is None else f"{value:.4f}" for value in (one.similarity, one.to_the_rest))
        worst.add_row(str(one.index), *cells)
    page.print(worst)


def _movement(verdict: "ClipVerdict | ClipJudged") -> "Iterator[tuple[str, float, float | None]]":
    """Give what moves, by how much, and how far that is from what is usual where that is known."""
    for measure, moved in verdict.movement.items():
        known = moved if isinstance(moved, ClipMovement) else None
        yield f"{measure} over time, σ", moved.spread, known.spread_z if known else None
        yield f"{measure} from frame to frame, median", moved.step, known.step_z if known else None
