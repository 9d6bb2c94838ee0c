"""``likeness judge``: the same judgement for image files, without Kafka."""

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.output import Json, emit, page
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.core.faces import Undecodable
    from streams.events import SampleJudged
    from streams.tools.judge_files import Said

_FIELDS = (
    "decision",
    "reasons",
    "similarity",
    "normalised_similarity",
    "false_match_rate",
    "log_likelihood_ratio",
    "p_value",
    "margin",
    "second",
    "nearest",
    "faces",
    "explanations",
    "originals",
    "policy_version",
    "embedding_space",
)


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Use")(judge)


def judge(
    images: Annotated[list[Path], typer.Argument(help="PNG, JPEG or WebP files.")],
    identity: Annotated[str, typer.Option(help="Whom they should show.")],
    model: Annotated[
        str | None,
        typer.Option(metavar="NAME[@VERSION]", help="Which model made them, where consent is for some models alone."),
    ] = None,
    territory: Annotated[
        str | None,
        typer.Option(metavar="DE|US-TN|…", help="Where they are to be shown, where consent is for some places alone."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Judge image files: do they show this enrolled identity, and nobody else?

    By the rules that judge the stream; nothing is stored and nothing is published.
    """
    from streams.tools.judge_files import Said

    judged = asyncio.run(_judge(read_settings(), images, identity, Said.of(model, territory)))
    rows = [{"image": str(path), **_as_dict(result)} for path, result in judged]
    if as_json:
        emit({"images": rows})
    else:
        page.print(_table(rows))


async def _judge(
    settings: Settings, images: list[Path], identity: str, said: "Said"
) -> "list[tuple[Path, SampleJudged | Undecodable]]":
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.services import examining_services
    from streams.core.policy import refuse_elsewhere
    from streams.tools.judge_files import judge_files, read_files

    encoded = read_files(images)
    settings = addressed(settings, "triton", "milvus", "ledger", "images")
    async with examining_services(settings) as services:
        domain = await services.gallery.domain()
        refuse_elsewhere(services.policy, embedding_space=services.examiner.space.fingerprint, domain=domain)
        return await judge_files(encoded, identity, services, said)


def _as_dict(result: "SampleJudged | Undecodable") -> dict[str, Any]:
    """Return what is said of one file; one that is no image is neither accepted nor flagged."""
    from streams.core.faces import Undecodable

    if isinstance(result, Undecodable):
        reasons = [{"code": result.reason.value, "text": result.detail}]
        return dict.fromkeys(_FIELDS) | {"decision": "undecodable", "reasons": reasons, "nearest": [], "originals": []}
    dumped = result.model_dump(mode="json")
    return {name: dumped[name] for name in _FIELDS}


def _table(rows: list[dict[str, Any]]) -> Table:
    table = Table("image", "decision", "similarity", "why", "nearest", box=None, pad_edge=False)
    for row in rows:
        colour = {"accepted": "green", "flagged": "yellow"}.get(row["decision"], "red")
        similarity = "" if row["similarity"] is None else f"{row['similarity']:.4f}"
        why = "\n".join([*(reason["text"] for reason in row["reasons"]), *_differences(row["explanations"] or [])])
        nearest = "\n".join(f"{near['identity']} {near['similarity']:.4f}" for near in row["nearest"])
        decision = f"[{colour}]{row['decision']}[/]"
        table.add_row(escape(Path(row["image"]).name), decision, similarity, escape(why), escape(nearest))
    return table


def _differences(explanations: list[dict[str, Any]]) -> list[str]:
    from streams.core.explain.compare import telling
    from streams.events import Explanation

    return [one.text for one in telling([Explanation(**one) for one in explanations])]
