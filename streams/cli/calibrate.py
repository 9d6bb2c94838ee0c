"""``likeness calibrate``: measure error rates, and write the policy whose limits keep the wanted ones."""

import asyncio
import importlib.metadata
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.output import Json, console, emit, page, say
from streams.cli.wiring.seen import second_fingerprint, seen_files
from streams.core.gallery import Origin
from streams.errors import BadInput
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.tools.rates.calibrate import Evidence, Findings, Targets

_Output = Annotated[Path, typer.Option(help="The policy file to write; its name is the policy's.")]
_Report = Annotated[Path | None, typer.Option(help="The HTML report. (default: beside the policy)")]
_Fmr = Annotated[float, typer.Option(min=1e-9, max=0.5, help="Wanted false match rate, for the limit of similarity.")]
_Fpir = Annotated[
    float, typer.Option(min=1e-9, max=0.5, help="Wanted false positives of a gallery search, for the limit of others.")
]
_Size = Annotated[
    int | None, typer.Option("--gallery-size", min=1, help="People searched. (default: as many as are compared)")
]
_Flags = Annotated[
    float | None,
    typer.Option(
        "--false-flags",
        min=1e-6,
        max=0.5,
        help="Set the limit of similarity by the share of good samples that it flags.",
    ),
]
_Second = Annotated[
    float | None,
    typer.Option(
        "--second-fmr",
        min=1e-9,
        max=0.5,
        help="Have the policy require that the second verifier agrees, at the limit with this FMR of its own.",
    ),
]
_Base = Annotated[
    str | None,
    typer.Option(help="Policy that has the limits which nothing is measured for. (default: default, or synthetic)"),
]
_Origin = Annotated[Origin, typer.Option(help="Where the images come from.")]
_Resamples = Annotated[int, typer.Option(min=20, help="Draws of the people, for the intervals.")]
_Images = Annotated[
    Path | None, typer.Option("--images", help="What file names are relative to. (default: the list's folder)")
]

_OUTPUT = Path("calibrated.toml")
_FMR, _FPIR, _RESAMPLES = 0.001, 0.01, 500


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer(
        name="calibrate",
        help="Measure error rates, and write a policy whose limits keep the wanted ones: for LIKENESS_POLICY.",
        no_args_is_help=True,
    )
    for command in (identities, pairs, gallery, reviewed):
        group.command()(command)
    app.add_typer(group, rich_help_panel="Look closer")


@dataclass(frozen=True)
class _Wish:
    """What is to be written, and what it is to keep."""

    output: Path
    report: Path | None
    targets: "Targets"
    base: str | None
    resamples: int
    as_json: bool


def identities(
    folder: Annotated[Path, typer.Argument(help="Has one folder a person, with images.")],
    output: _Output = _OUTPUT,
    report: _Report = None,
    fmr: _Fmr = _FMR,
    fpir: _Fpir = _FPIR,
    gallery_size: _Size = None,
    false_flags: _Flags = None,
    second_fmr: _Second = None,
    cohort: Annotated[
        Path | None, typer.Option(help="Folder of strangers' images: reports what score normalisation would bring.")
    ] = None,
    s_norm: Annotated[
        bool, typer.Option("--s-norm", help="Have the judge normalise scores by that cohort, kept beside the policy.")
    ] = False,
    base: _Base = None,
    origin: _Origin = Origin.PHOTO,
    resamples: _Resamples = _RESAMPLES,
    as_json: Json = False,
) -> None:
    """Calibrate from labelled images: each against its person's others, and against everybody else."""
    if s_norm and cohort is None:
        raise BadInput("expected strangers to normalise scores by, got none: name their folder with --cohort")
    from streams.tools.rates.evidence import of_identities
    from streams.tools.rates.labels import identities_in, images_in

    wish = _Wish(
        output,
        report,
        _targets(fmr, fpir, gallery_size, false_flags, second_fmr, normalised=s_norm),
        base,
        resamples,
        as_json,
    )
    images, strangers = identities_in(folder), images_in(cohort) if cohort else []
    words = f"{len(images)} labelled images"

    async def gather(settings: Settings) -> "Evidence":
        seen, space = await seen_files(settings, [*(image.path for image in images), *strangers])
        shown, second = [seen[path] for path in strangers], second_fingerprint(settings)
        return of_identities(images, seen, domain=origin, space=space, words=words, cohort=shown, second_space=second)

    _calibrate(gather, wish)


def pairs(
    csv: Annotated[Path, typer.Argument(help="Has the columns file_x, file_y and Decision (Yes or No).")],
    images: _Images = None,
    output: _Output = _OUTPUT,
    report: _Report = None,
    fmr: _Fmr = _FMR,
    fpir: _Fpir = _FPIR,
    gallery_size: _Size = None,
    false_flags: _Flags = None,
    base: _Base = None,
    origin: _Origin = Origin.PHOTO,
    resamples: _Resamples = _RESAMPLES,
    as_json: Json = False,
) -> None:
    """Calibrate from labelled pairs. Its limits are for pairs: a worker, which judges by centroids, refuses them."""
    from streams.tools.rates.evidence import of_pairs
    from streams.tools.rates.labels import read_pairs

    wish = _Wish(output, report, _targets(fmr, fpir, gallery_size, false_flags), base, resamples, as_json)
    listed = read_pairs(csv, images or csv.parent)

    async def gather(settings: Settings) -> "Evidence":
        seen, space = await seen_files(settings, [path for pair in listed for path in (pair.first, pair.second)])
        return of_pairs(listed, seen, domain=origin, space=space, words=f"{len(listed)} labelled pairs")

    _calibrate(gather, wish)


def gallery(
    output: _Output = _OUTPUT,
    report: _Report = None,
    fmr: _Fmr = _FMR,
    fpir: _Fpir = _FPIR,
    gallery_size: _Size = None,
    false_flags: _Flags = None,
    second_fmr: _Second = None,
    base: _Base = None,
    resamples: _Resamples = _RESAMPLES,
    as_json: Json = False,
) -> None:
    """Calibrate from the gallery: each reference left out of its own centroid. No image is looked at."""
    wish = _Wish(output, report, _targets(fmr, fpir, gallery_size, false_flags, second_fmr), base, resamples, as_json)
    _calibrate(_of_gallery, wish)


def reviewed(
    csv: Annotated[
        Path,
        typer.Argument(help="Has the columns sample (an id or a file) and Decision (Yes or No); identity for files."),
    ],
    images: _Images = None,
    output: _Output = _OUTPUT,
    report: _Report = None,
    fmr: _Fmr = _FMR,
    fpir: _Fpir = _FPIR,
    gallery_size: _Size = None,
    false_flags: _Flags = None,
    base: _Base = None,
    resamples: _Resamples = _RESAMPLES,
    as_json: Json = False,
) -> None:
    """Calibrate from generated samples of which a reviewer says whether they show whom they should."""
    from streams.tools.rates.labels import read_reviewed

    wish = _Wish(output, report, _targets(fmr, fpir, gallery_size, false_flags), base, resamples, as_json)
    listed = read_reviewed(csv, images or csv.parent)
    files = [one.sample for one in listed if isinstance(one.sample, Path)]

    async def gather(settings: Settings) -> "Evidence":
        from streams.adapters.faces.engine import embedding_space
        from streams.cli.wiring.services import gallery_services
        from streams.tools.rates.evidence import of_reviewed

        seen, space = await seen_files(settings, files) if files else ({}, embedding_space(settings).fingerprint)
        async with gallery_services(settings) as services:
            words = f"{len(listed)} generated samples that were reviewed"
            return await of_reviewed(listed, seen, services.gallery, services.ledger, space=space, words=words)

    _calibrate(gather, wish)


async def _of_gallery(settings: Settings) -> "Evidence":
    from streams.cli.wiring.services import gallery_services
    from streams.tools.rates.evidence import of_gallery

    async with gallery_services(settings) as services:
        space = services.examiner.space.fingerprint
        return await of_gallery(services.gallery, space=space, second=services.second)


def _targets(
    fmr: float,
    fpir: float,
    gallery_size: int | None,
    false_flags: float | None,
    second_fmr: float | None = None,
    *,
    normalised: bool = False,
) -> "Targets":
    from streams.tools.rates.calibrate import Targets

    return Targets(fmr, fpir, gallery_size, false_flags, second_fmr, normalised)


def _calibrate(gather: "Callable[[Settings], Coroutine[Any, Any, Evidence]]", wish: _Wish) -> None:
    from streams.cli.wiring.policies import load_policy
    from streams.tools.rates.calibrate import calibrate
    from streams.tools.rates.cohort_file import write_cohort
    from streams.tools.rates.policy_file import named, require_writable, write_policy, write_text
    from streams.tools.rates.reports import calibration_html

    settings = read_settings()
    if wish.targets.second_fmr is not None and second_fingerprint(settings) is None:
        raise BadInput("expected a second verifier to require, got none: set LIKENESS_SECOND_EMBEDDER=dlib-resnet")
    name, html = named(wish.output), wish.report or wish.output.with_suffix(".html")
    require_writable(wish.output, html)
    base = load_policy(wish.base) if wish.base else None
    evidence = asyncio.run(gather(settings))
    findings = calibrate(
        evidence,
        wish.targets,
        base or load_policy("synthetic" if evidence.domain is Origin.SYNTHETIC else "default"),
        name=name,
        made_with=f"likeness-qc {importlib.metadata.version('likeness-qc')}",
        resamples=wish.resamples,
    )
    if findings.policy.normalisation is not None and evidence.cohort is not None:  # the policy is refused without it
        write_cohort(evidence.cohort, findings.policy.normalisation, wish.output.parent)
    write_policy(findings.policy, wish.output)
    write_text(calibration_html(findings, wish.targets, datetime.now(UTC)), html)
    _show(findings, wish, html)


def _show(findings: "Findings", wish: _Wish, html: Path) -> None:
    for warning in findings.warnings:
        console.print(f"[yellow]![/] {escape(warning)}", highlight=False, soft_wrap=True)
    if wish.as_json:
        emit(_as_dict(findings) | {"output": str(wish.output), "report": str(html)})
        return
    table = Table("target", box=None, pad_edge=False)
    for name in ("similarity", "FMR", "95 %", "FNMR", "95 %"):
        table.add_column(name, no_wrap=True)  # on a narrow terminal only the target's words are broken
    for point in findings.measured.operating_points:
        spans = [f"{low:.3g} - {high:.3g}" for low, high in (point.fmr_interval, point.fnmr_interval)]
        table.add_row(
            point.target + (" (extrapolated)" if point.extrapolated else ""),
            f"{point.similarity:.4f}",
            f"{point.fmr:.3g}",
            spans[0],
            f"{point.fnmr:.3g}",
            spans[1],
        )
    page.print(table)
    if (second := findings.policy.second) and second.effect:
        from streams.cli.terminal.agreement import agreement_table

        page.print(agreement_table(second.effect))
    if by := findings.policy.normalisation:
        say(f"score-normalised: {by.limit:.4f} standard deviations, {by.provenance}; by {by.file_name}")
    say(f"policy: {wish.output} ({findings.policy.version})")
    say(f"report: {html}")


def _as_dict(findings: "Findings") -> dict[str, Any]:
    shown = findings.measured.model_dump(mode="json", exclude={"rates"})
    return {
        "policy": findings.policy.version,
        "comparator": findings.policy.holds_for.comparator,
        "limits": findings.policy.limits.model_dump(mode="json"),
        "normalisation": findings.policy.normalisation.model_dump(mode="json", exclude={"rates"})
        if findings.policy.normalisation
        else None,
        "second": findings.policy.second.model_dump(mode="json") if findings.policy.second else None,
        "eer": findings.eer,
        "eer_interval": findings.eer_interval,
        "warnings": findings.warnings,
        **shown,
    }
