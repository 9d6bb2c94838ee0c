"""The command ``families``: what the trained generators are worth, and their weights at the size to hand on."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field, TypeAdapter, ValidationError

from streams.errors import BadInput
from streams.events import Name
from streams.settings import read_settings

if TYPE_CHECKING:
    from generators.serve import Sampler

families = typer.Typer(help="Judge the families that were trained, and export their weights.", no_args_is_help=True)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]
Identities = Annotated[int, typer.Option(min=2, help="People, of those kept out of training.")]
Each = Annotated[int, typer.Option(min=1, help="Samples of each.")]
Seed = Annotated[int, typer.Option(min=0, help="Where the samples' seeds begin.")]
Sheets = Annotated[Path | None, typer.Option(help="Folder for a picture of each family's samples.")]
Folders = Annotated[list[Path], typer.Argument(help="Folders of runs, or of single checkpoints.")]

_PEOPLE = TypeAdapter(
    Annotated[dict[Name, Annotated[list[float], Field(min_length=100, max_length=100)]], Field(min_length=1)]
)


@families.command()
def evaluate(
    folders: Folders,
    identities: Identities = 50,
    each: Each = 4,
    seed: Seed = 0,
    sheets: Sheets = None,
    device: Annotated[str, typer.Option(help="What computes the samples, as torch names it.")] = "cpu",
    as_json: AsJson = False,
) -> None:
    """Sample people who were kept out of training, and have the product's own engine judge the samples.

    Where FaceNet was a loss of the training it judges its own pupil: the figures are no independent ones.
    """
    told = _judged([(folder, None) for folder in folders], identities, each, seed, sheets, device)
    typer.echo(json.dumps({"families": told}) if as_json else "\n\n".join(map(_lines, told)))


@families.command()
def served(
    identities: Identities = 50,
    each: Each = 4,
    seed: Seed = 0,
    sheets: Sheets = None,
    as_json: AsJson = False,
) -> None:
    """Do the same over Triton with every trained family that is served: LIKENESS_TRITON, or a server of its own."""
    from generators.served import samplers

    with samplers(read_settings()) as found:
        told = _judged([(sampler.weights, sampler) for sampler in found.values()], identities, each, seed, sheets)
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


@families.command()
def rehearse(
    targets: Annotated[Path, typer.Option(help="JSON file: enrolled people, each with their anchor.")],
    run: Annotated[str, typer.Option(help="Names the run; another one for each time.")] = "rehearsal",
    samples: Annotated[int, typer.Option(min=5, help="Samples of each step.")] = 12,
    as_json: AsJson = False,
) -> None:
    """Have a training run go wrong on purpose: the network of face_gan, with more noise in its weights at every step.

    Its samples go to LIKENESS_KAFKA's road, where workers and the monitor must run; it ends when the feedback says
    stop.
    """
    from generators import digiface_dcgan, weights
    from generators.rehearsal import MODEL, Ailing, rehearse
    from streams.client.training import TrainingFeed

    settings = read_settings()
    kafka = settings.address("kafka")
    generator = Ailing(digiface_dcgan.load(weights.read(weights.DCGAN_DIGIFACE, settings.cache_dir)))
    with TrainingFeed(kafka, run_id=run, model=MODEL) as feed:
        done = asdict(rehearse(feed, run, generator, _people(targets), samples=samples, report=_say))
    typer.echo(json.dumps(done) if as_json else "\n".join(f"{name}\t{value}" for name, value in done.items()))


def _people(file: Path) -> dict[str, list[float]]:
    """Read whom to show."""
    try:
        return _PEOPLE.validate_json(file.read_bytes())
    except (OSError, ValidationError) as error:
        raise BadInput(f"expected people with 100 numbers each in {file}, got {error}") from error


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _judged(
    wanted: "Sequence[tuple[Path, Sampler | None]]",
    identities: int,
    each: int,
    seed: int,
    sheets: Path | None,
    device: str = "cpu",
) -> list[dict[str, object]]:
    """Return the figures of checkpoints; each is sampled by itself, or by what stands in for it."""
    from generators.evaluate import figures, sample, sheet
    from generators.learners import faces_of, trained
    from streams.adapters.faces.engine import FaceEngine
    from streams.adapters.images.decode import encode_png

    settings = read_settings()
    engine = FaceEngine.load(settings)
    told = []
    for folder, sampler in wanted:
        known = trained(folder, device)
        learned, kept_out = faces_of(known.recipe, settings, _say).split()
        made = sample(sampler or known.sampler, kept_out, identities=identities, each=each, seed=seed)
        judged = figures(known.meta.family, known.meta.step, made, kept_out, engine, learned.pixels)
        told.append(judged.as_json() | {"facenet_was_a_loss": known.recipe.learned_by_facenet})
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            (sheets / f"{known.meta.family}.png").write_bytes(encode_png(sheet(made, kept_out)))
    return told


def _lines(figures: dict[str, object]) -> str:
    return "\n".join(
        f"{name}\t{value:.4f}" if isinstance(value, float) else f"{name}\t{value}" for name, value in figures.items()
    )
