"""The command ``families``: what the trained generators are worth, and their weights at the size to hand on."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import Field, TypeAdapter, ValidationError

from streams.errors import BadInput
from streams.events import Name
from streams.processes.cores import usable
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
    """Sample people who were kept out of training, and have two judges look: FaceNet and, where it is there, dlib.

    Where FaceNet was a loss of the training it judges its own pupil; `second` is what the independent judge says.
    `ceiling` is what both say of real faces of the same people.
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


class Format(StrEnum):
    """What an export is for."""

    WEIGHTS = "weights"
    ONNX = "onnx"


@families.command()
def export(
    what: Annotated[str, typer.Argument(help="Folder of a run or of a checkpoint, or a family that is shipped.")],
    into: Annotated[Path | None, typer.Argument(help="Folder that is written; the same as --output.")] = None,
    output: Annotated[Path | None, typer.Option(help="Folder that is written.")] = None,
    kind: Annotated[
        Format, typer.Option("--format", help="`weights` for the Python backend; `onnx` for the ONNX Runtime backend.")
    ] = Format.WEIGHTS,
) -> None:
    """Write the weights that sample in 16 bits, without what only training needs; or a whole model folder for Triton.

    An ONNX network has the sampler in it, takes noise in place of seeds, and makes the same pictures.
    """
    target = into or output
    if target is None or (into and output):
        raise BadInput("expected one folder to write into, got none or two: `--output DIR`")
    source = _source(what)
    if kind is Format.ONNX:
        from generators import onnx_export

        onnx_export.export(source, target)
    else:
        from generators import checkpoint

        checkpoint.export(checkpoint.last(source), target)
    typer.echo(str(target))


def _source(what: str) -> Path:
    """Return the folder, or that of the weights that are shipped of the family."""
    from generators.served import shipped_weights

    return Path(what) if Path(what).is_dir() else shipped_weights().get(what, Path(what))


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
    from generators import judges
    from generators.ceiling import ceilings
    from generators.evaluate import figures, sample, sheet
    from generators.learners import faces_of, trained
    from streams.adapters.images.decode import encode_png

    settings = read_settings()
    engine = judges.load(settings, _say)
    told, real = [], {}
    for folder, sampler in wanted:
        known = trained(folder, device)
        learned, kept_out = faces_of(known.recipe, settings, _say, processes=usable()).split()
        made = sample(sampler or known.sampler, kept_out, identities=identities, each=each, seed=seed)
        source = (known.recipe.synthetic, known.recipe.photographs)  # the families mostly have one in common
        if source not in real:
            second = judges.second_centroids(kept_out, engine, identities)
            drawn = known.recipe.photographs is None  # of photographed people no more faces can be drawn
            most = ceilings(kept_out, engine, second, settings, identities=identities, each=each) if drawn else []
            real[source] = second, most
        second, ceiling = real[source]
        judged = figures(known.meta.family, known.meta.step, made, kept_out, engine, learned.pixels, second)
        more = {"facenet_was_a_loss": known.recipe.learned_by_facenet, "ceiling": ceiling}
        told.append(judged.as_json() | more)
        if sheets is not None:
            sheets.mkdir(parents=True, exist_ok=True)
            (sheets / f"{known.meta.family}.png").write_bytes(encode_png(sheet(made, kept_out)))
    return told


def _lines(figures: dict[str, object]) -> str:
    return "\n".join(
        f"{name}\t{value:.4f}" if isinstance(value, float) else f"{name}\t{value}" for name, value in _flat(figures)
    )


def _flat(values: Mapping[str, object], under: str = "") -> Iterator[tuple[str, object]]:
    """Yield every figure with the names of the groups that it is in before its own."""
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{under}{name}.")
        elif isinstance(value, list):
            for number, each in enumerate(value):
                yield from _flat(each, f"{under}{name}.{number}.")
        else:
            yield f"{under}{name}", value
