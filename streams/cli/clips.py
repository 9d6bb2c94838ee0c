"""``likeness clips``: the frames of a video, judged together."""

import asyncio
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from streams.cli.terminal.output import Json, emit, page, say
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.core.clips.verdict import ClipVerdict


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(help="Frames of one video, judged together.")
    group.command()(judge)
    group.callback()(_clips)
    app.add_typer(group, name="clips", rich_help_panel="Use")


def _clips() -> None:
    """Keep `clips judge` two words: a group of one command would be that command."""


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
    _show(verdict)


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


def _show(verdict: "ClipVerdict") -> None:
    say(f"{verdict.decision.value}: {verdict.frames} frames")
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
    numbers |= {f"{measure.value} over time, σ": moved.spread for measure, moved in verdict.movement.items()}
    table = Table("what", "value", box=None, pad_edge=False)
    for name, value in numbers.items():
        table.add_row(name, "" if value is None else f"{value:.4f}")
    page.print(table)
    worst = Table("worst frames", "similarity", "to the rest", box=None, pad_edge=False)
    for one in verdict.worst:
        cells = ("" if value is None else f"{value:.4f}" for value in (one.similarity, one.to_the_rest))
        worst.add_row(str(one.index), *cells)
    page.print(worst)
