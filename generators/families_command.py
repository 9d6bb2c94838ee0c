"""The command ``families``: what the trained generators are worth, and their weights at the size to hand on."""

import json
from pathlib import Path
from typing import Annotated

import typer

from streams.settings import read_settings

families = typer.Typer(help="Judge the families that were trained, and export their weights.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Folders = Annotated[list[Path], typer.Argument(help="Folders of runs, or of single checkpoints.")]


@families.command()
def evaluate(
    folders: Folders,
    identities: Annotated[int, typer.Option(min=2, help="People, of those kept out of training.")] = 50,
    each: Annotated[int, typer.Option(min=1, help="Samples of each.")] = 4,
    seed: Annotated[int, typer.Option(min=0, help="Where the samples' seeds begin.")] = 0,
    sheets: Annotated[Path | None, typer.Option(help="Folder for a picture of each family's samples.")] = None,
    device: Annotated[str, typer.Option(help="What computes the samples, as torch names it.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Sample people who were kept out of training, and have the product's own engine judge the samples.

    Where FaceNet was a loss of the training it judges its own pupil: the figures are no independent ones.
    """
    from generators.evaluate import figures, sample, sheet
    from generators.learners import faces_of, trained
    from streams.adapters.faces.engine import FaceEngine
    from streams.adapters.images.decode import encode_png

    settings = read_settings()
    engine = FaceEngine.load(settings)
    told = []
    for folder in folders:
        known = trained(folder, device)
        _, kept_out = faces_of(known.recipe, settings, lambda line: typer.echo(line, err=True)).split()
        made = sample(known.sampler, kept_out, identities=identities, each=each, seed=seed)
        judged = figures(known.meta.family, known.meta.step, made, kept_out, engine)
        told.append(judged.as_json() | {"facenet_was_a_loss": known.recipe.learned_by_facenet})
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            (sheets / f"{known.meta.family}.png").write_bytes(encode_png(sheet(made, kept_out)))
    typer.echo(json.dumps({"families": told}) if as_json else "\n\n".join(map(_lines, told)))


@families.command()
def export(
    folder: Annotated[Path, typer.Argument(help="Folder of a run, or of a single checkpoint.")],
    into: Annotated[Path, typer.Argument(help="Folder that is written.")],
) -> None:
    """Write the weights that sample in 16 bits, without what only training needs."""
    from generators import checkpoint

    checkpoint.export(checkpoint.last(folder), into)
    typer.echo(str(into))


def _lines(figures: dict[str, object]) -> str:
    return "\n".join(
        f"{name}\t{value:.4f}" if isinstance(value, float) else f"{name}\t{value}" for name, value in figures.items()
    )
