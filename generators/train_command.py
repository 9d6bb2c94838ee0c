"""The command ``train``: teach one family, from a recipe, for as long as it is let."""

import json
import signal
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from streams.settings import Settings, read_settings

train = typer.Typer(
    help="Teach a family of generators: encoder_decoder, gan or diffusion. Ctrl-C keeps what was learned.",
    no_args_is_help=True,
)

Config = Annotated[Path, typer.Option("--config", help="The recipe, such as ops/runs/gan-cpu.toml.")]
Run = Annotated[Path | None, typer.Option("--run", help="Folder of the checkpoints; goes on from the last one there.")]
Taught = Annotated[
    Path | None, typer.Option("--encoder-decoder", help="Run of a trained encoder-decoder, in place of the recipe's.")
]
Device = Annotated[str, typer.Option("--device", help="What computes, as torch names it: cpu, cuda, cuda:1.")]
Minutes = Annotated[float | None, typer.Option("--minutes", help="Minutes in all, in place of the recipe's.")]
Threads = Annotated[int | None, typer.Option("--threads", min=1, help="Threads, in place of the recipe's.")]
Publish = Annotated[
    bool,
    typer.Option("--publish", help="Have the samples judged on LIKENESS_KAFKA's road too, and follow the feedback."),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON on standard output, and nothing else there.")]


def _command(family: str) -> Callable[..., None]:
    def command(
        config: Config,
        run: Run = None,
        encoder_decoder: Taught = None,
        device: Device = "cpu",
        minutes: Minutes = None,
        threads: Threads = None,
        publish: Publish = False,
        as_json: AsJson = False,
    ) -> None:
        settings = read_settings()
        changes = {"minutes": minutes, "threads": threads}
        told = _train(
            family,
            config,
            (run or settings.data_dir / "runs" / config.stem).resolve(),
            encoder_decoder,
            device,
            {name: value for name, value in changes.items() if value is not None},
            settings,
            settings.address("kafka") if publish else None,
        )
        typer.echo(json.dumps(told) if as_json else "\n".join(f"{name}\t{value}" for name, value in told.items()))

    return command


for _family, _says in {
    "encoder_decoder": "Teach the encoder-decoder: a source frame and an identity to that identity in the frame.",
    "gan": "Teach the GAN: noise and an identity to a face.",
    "diffusion": "Teach the latent diffusion, in the latents of a trained encoder-decoder.",
}.items():
    train.command(_family, help=_says)(_command(_family))


def _train(
    name: str,
    config: Path,
    run: Path,
    taught: Path | None,
    device: str,
    changes: dict[str, Any],
    settings: Settings,
    kafka: str | None,
) -> dict[str, Any]:
    """Train, and return what is printed."""
    from generators import recipe
    from generators.evaluate import Figures, figures, sample
    from generators.families import FAMILIES
    from generators.learners import completed, faces_of, learner_of
    from generators.publishing import publisher_of
    from generators.serve import Sampler
    from generators.train import train as train_family
    from streams.adapters.faces.engine import FaceEngine
    from streams.client.training import TrainingFeed

    family = FAMILIES[name]
    wanted = recipe.read(config, family)
    taught = taught.resolve() if taught is not None else wanted.encoder_decoder
    wanted = completed(replace(wanted, plan=replace(wanted.plan, **changes), encoder_decoder=taught))
    faces, held_out = faces_of(wanted, settings, _say).split()
    engine = FaceEngine.load(settings, _say)
    learner = learner_of(wanted, settings, device, _say)
    feed = TrainingFeed(kafka, run_id=run.name, model=name) if kafka is not None else None
    publish = publisher_of(feed, held_out, _say) if feed is not None else None

    def measure(sampler: Sampler, step: int) -> Figures:
        made = sample(sampler, held_out)
        if publish is not None:
            publish(made, step)
        return figures(name, step, made, held_out, engine, faces.pixels)

    with feed or nullcontext():
        meta = train_family(
            learner,
            wanted,
            faces,
            run,
            device=device,
            measure=measure,
            report=_say,
            stop=_told_to_stop(),
            advised=lambda: None if feed is None else feed.advised,
        )
    told = {"family": name, "step": meta.step, "seconds": round(meta.seconds, 1), "checkpoint": str(run)}
    return told | dict(meta.metrics)


def _say(line: str) -> None:
    typer.echo(line, err=True)


def _told_to_stop() -> Callable[[], bool]:
    """Return whether a signal has come: the run then ends at the next step, and keeps what it has."""
    came: list[int] = []

    def note(number: int, frame: FrameType | None) -> None:
        came.append(number)

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, note)
    return lambda: bool(came)
