"""``likeness judge``: the same judgement for image files, without Kafka."""

import asyncio
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from streams.cli.output import Json, console, emit
from streams.cli.wiring import addressed, examining_services
from streams.core.faces import Undecodable
from streams.core.policy import refuse_elsewhere
from streams.events import SampleJudged
from streams.settings import Settings
from streams.tools.judge_files import judge_files


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(judge)


def judge(
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP files.")],
    identity: Annotated[str, typer.Option(help="Whom they should show.")],
    as_json: Json = False,
) -> None:
    """Judge image files: do they show this enrolled identity, and nobody else?"""
    judged = asyncio.run(_judge(addressed(Settings()), images, identity))
    if as_json:
        emit({"images": [{"image": str(path), **_as_dict(result)} for path, result in judged]})
        return
    table = Table("image", "decision", "similarity", "reasons", "nearest")
    for path, result in judged:
        row = _as_dict(result)
        reasons = "\n".join(reason["text"] for reason in row["reasons"])
        nearest = "\n".join(f"{near['identity']} {near['similarity']:.4f}" for near in row["nearest"])
        table.add_row(path.name, row["decision"], str(row["similarity"] or ""), reasons, nearest)
    console.print(table)


async def _judge(
    settings: Settings, images: list[Path], identity: str
) -> list[tuple[Path, SampleJudged | Undecodable]]:
    async with examining_services(settings) as services:
        domain = await services.gallery.domain()
        refuse_elsewhere(services.policy, embedding_space=services.examiner.space.fingerprint, domain=domain)
        return await judge_files(images, identity, services)


def _as_dict(result: SampleJudged | Undecodable) -> dict[str, Any]:
    """Return what is said of one file; one that is no image is neither accepted nor flagged."""
    if isinstance(result, Undecodable):
        reasons = [{"code": result.reason.value, "text": result.detail}]
        return {"decision": "undecodable", "reasons": reasons, "similarity": None, "nearest": []}
    fields = ("decision", "reasons", "similarity", "margin", "nearest", "faces", "policy_version", "embedding_space")
    dumped = result.model_dump(mode="json")
    return {name: dumped[name] for name in fields}
