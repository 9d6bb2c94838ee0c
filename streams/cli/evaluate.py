"""``likeness evaluate``: how well people are told apart, on images of one's own. No server is needed."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.output import Json, console, emit, page, say
from streams.cli.wiring.seen import second_fingerprint, seen_files
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.core.imprints import Descriptor
    from streams.core.policy import Policy
    from streams.tools.copying import Copying
    from streams.tools.rates.evaluation import Evaluation

#: Exit status where files could not be read: what was measured is not all that was asked for.
INCOMPLETE_STATUS = 1

_Report = Annotated[Path, typer.Option(help="The HTML report to write.")]
_Resamples = Annotated[int, typer.Option(min=20, help="Draws of the people, for the intervals.")]


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        name="evaluate",
        help="Measure how well people are told apart, on images of one's own, in any format that Pillow reads.",
        no_args_is_help=True,
    )
    group.command()(pairs)
    group.command()(identities)
    group.command()(copying)
    app.add_typer(group, rich_help_panel="Look closer")


def pairs(
    csv: Annotated[Path, typer.Argument(help="Has the columns file_x, file_y and Decision (Yes or No).")],
    images: Annotated[
        Path | None, typer.Option(help="What file names are relative to. (default: the list's folder)")
    ] = None,
    group: Annotated[str | None, typer.Option(help="Column that says to which group a pair belongs.")] = None,
    report: _Report = Path("evaluation.html"),
    resamples: _Resamples = 500,
    as_json: Json = False,
) -> None:
    """Compare labelled pairs: verification.

    An image without a face is a failure to acquire, and its pairs count as non-matches in the accuracies. Pairs that
    name a file which cannot be read are left out; the exit status is 1 then.
    """
    from streams.tools.rates.evaluate import evaluate_pairs
    from streams.tools.rates.labels import read_pairs
    from streams.tools.rates.policy_file import require_writable

    settings = read_settings()
    require_writable(report)
    policy = _policy(settings)
    listed = read_pairs(csv, images or csv.parent, group)
    files = [path for pair in listed for path in (pair.first, pair.second)]
    seen, space = asyncio.run(seen_files(settings, files))
    _finish(
        evaluate_pairs(listed, seen, policy, space, resamples=resamples), f"Evaluation: {csv.name}", report, as_json
    )


def identities(
    folder: Annotated[Path, typer.Argument(help="Has one folder a person, with images.")],
    report: _Report = Path("evaluation.html"),
    resamples: _Resamples = 500,
    as_json: Json = False,
) -> None:
    """Search every image in a gallery of all the others: verification, rank-1 and open-set identification."""
    from streams.cli.wiring.services import load_cohort
    from streams.tools.rates.evaluate import evaluate_identities
    from streams.tools.rates.labels import identities_in
    from streams.tools.rates.policy_file import require_writable

    settings = read_settings()
    require_writable(report)
    policy = _policy(settings)
    cohort = load_cohort(policy, settings)
    images = identities_in(folder)
    seen, space = asyncio.run(seen_files(settings, [image.path for image in images]))
    measured = evaluate_identities(images, seen, policy, space, cohort=cohort, resamples=resamples)
    _finish(measured, f"Evaluation: {folder.name}", report, as_json)


def copying(
    generated: Annotated[Path, typer.Argument(help="Folder of images that the generator made.")],
    held_out: Annotated[
        Path, typer.Option(help="Folder of images like those that it learned from, and not among them.")
    ],
    report: _Report = Path("copying.html"),
    as_json: Json = False,
) -> None:
    """Test whether a generator copies what it learned from: C_T of Meehan, Chaudhuri and Dasgupta (2020).

    The training images must be registered (`likeness index-training`). Needs Milvus. z far below 0 is copying.
    """
    from streams.tools.rates.labels import images_in
    from streams.tools.rates.policy_file import require_writable, write_text
    from streams.tools.rates.reports import copying_html

    require_writable(report)
    said, descriptor = asyncio.run(_copying(read_settings(), images_in(generated), images_in(held_out)))
    write_text(copying_html(said, descriptor, datetime.now(UTC)), report)
    if as_json:
        emit(said.as_dict() | {"report": str(report)})
        return
    for path, why in said.left_out.items():
        console.print(f"{path}: {why}", highlight=False, markup=False, soft_wrap=True)
    say(f"C_T: z = {said.z:+.2f} (far below 0: copies; beyond 3 either way is hardly chance)")
    say(
        f"{said.generated} generated images, in the median {said.generated_median:g} from the nearest of"
        f" {said.training_images} training images; {said.held_out} held-out ones, {said.held_out_median:g}"
    )
    say(f"report: {report}")


async def _copying(settings: Settings, generated: list[Path], held_out: list[Path]) -> "tuple[Copying, Descriptor]":
    from streams.cli.terminal.counting import counted
    from streams.cli.wiring.addresses import addressed, answering
    from streams.cli.wiring.services import examiner_of_files, open_originals
    from streams.tools.copying import measure_copying

    settings = addressed(settings, "milvus")
    await answering(settings, "milvus")
    async with (
        examiner_of_files(settings) as examiner,
        open_originals(settings, examiner.descriptor) as originals,
    ):
        with counted("images") as report:
            said = await measure_copying(generated, held_out, examiner, examiner, originals, report)
        return said, examiner.descriptor


def _policy(settings: Settings) -> "Policy":
    from streams.cli.wiring.policies import load_policy
    from streams.core.policy import refuse_without_second

    policy = load_policy(settings.policy)
    refuse_without_second(policy, second_fingerprint(settings))
    return policy


def _finish(evaluation: "Evaluation", title: str, report: Path, as_json: bool) -> None:
    from streams.cli.terminal.agreement import agreement_table
    from streams.tools.rates.policy_file import write_text
    from streams.tools.rates.reports import evaluation_html, warnings

    write_text(evaluation_html(evaluation, title, datetime.now(UTC)), report)
    for warning in warnings(evaluation):
        console.print(f"[yellow]![/] {escape(warning)}", highlight=False, soft_wrap=True)
    if as_json:
        emit(evaluation.as_dict() | {"report": str(report)})
    else:
        page.print(_table(evaluation))
        if evaluation.agreement:
            page.print(agreement_table(evaluation.agreement))
        say(f"report: {report}")
    if evaluation.files.missing:
        raise typer.Exit(INCOMPLETE_STATUS)


def _table(evaluation: "Evaluation") -> Table:
    figures = evaluation.figures
    table = Table("figure", "value", box=None, pad_edge=False)
    shown = {
        "images": evaluation.files.images,
        "failures to acquire": evaluation.files.failures_to_acquire,
        "pairs": evaluation.pairs,
        "AUC": figures.auc,
        "equal error rate": figures.eer,
        **{f"true match rate at FMR {fmr}": value for fmr, value in figures.tpr_at_fmr.items()},
        "accuracy at the best limit": figures.accuracy_best,
        f"accuracy at the limit of {evaluation.policy}": figures.accuracy_policy,
        "rank-1": evaluation.rank1,
    }
    for name, value in shown.items():
        if value is not None:
            table.add_row(name, str(value) if isinstance(value, int) else f"{value:.4f}")
    return table
