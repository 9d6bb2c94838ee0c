"""``likeness drift``: the charts over time."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from streams.cli.terminal.moments import moment
from streams.cli.terminal.output import Json, emit, page, printable, say
from streams.errors import BadInput
from streams.settings import Settings, read_settings

if TYPE_CHECKING:
    from streams.adapters.ledger.charts.baseline import Rebased
    from streams.core.drift.drawn import Drawn
    from streams.core.drift.plan import Plan

#: Blocks of growing height: a chart in one line.
_BLOCKS = " ▁▂▃▄▅▆▇█"
#: Points of it.
_SHOWN = 24
#: What is shown of a training step, in a line of eighty characters: title, metric and digits; `--json` has them all.
_METRICS = (
    ("sim.", "similarity", 3),
    ("rank1", "rank1", 2),
    ("copies", "copy_rate", 2),
    ("div.", "diversity", 2),
    ("Vendi", "vendi", 1),
    ("FD", "frechet", 2),
    ("MMD²", "mmd2", 2),
    ("prec.", "precision", 2),
    ("cov.", "coverage", 2),
)


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    group = typer.Typer()
    group.callback(invoke_without_command=True)(drift)
    group.command()(show)
    group.command()(baseline)
    group.command()(prune)
    app.add_typer(group, name="drift", rich_help_panel="Look closer")


def drift(context: typer.Context, as_json: Json = False) -> None:
    """Charts of similarity over time, their alerts, and what training runs should do. Alone it is `drift show`."""
    if context.invoked_subcommand is None:
        show(as_json=as_json)
    elif as_json:
        asked = f"likeness drift {context.invoked_subcommand} --json"
        raise BadInput(f"expected --json behind the command that it is for: `{asked}`")


def show(
    model: Annotated[str | None, typer.Option(help="Only charts of this model.")] = None,
    identity: Annotated[str | None, typer.Option(help="Only charts of this identity.")] = None,
    run: Annotated[str | None, typer.Option(help="Only the chart of this training run, with its steps.")] = None,
    alerts: Annotated[bool, typer.Option("--alerts", help="Only charts with an alert that stands.")] = False,
    as_json: Json = False,
) -> None:
    """Show every chart: where it stands between 0 and its limit, and since when something is wrong.

    Needs the ledger alone. A chart begins once LIKENESS_DRIFT_CALIBRATION scores say what is in control.
    """
    wanted = {name: value for name, value in (("model", model), ("identity", identity), ("run", run)) if value}
    drawn, plan = asyncio.run(_drawn(read_settings()))
    drawn = [one for one in drawn if all(getattr(one.chart, name) == value for name, value in wanted.items())]
    if alerts:
        drawn = [one for one in drawn if any(alert["active"] for alert in one.alerts)]
    if wanted and not drawn and not alerts:
        said = ", ".join(f"{name} {value!r}" for name, value in wanted.items())
        raise BadInput(f"no chart of {said}: `likeness drift show` lists those that there are")
    if as_json:
        emit({"plan": {**asdict(plan), "version": plan.version}, "charts": [one.as_dict(plan) for one in drawn]})
        return
    page.print(_table(drawn, plan))
    for one in drawn:
        if run and one.steps:
            page.print(_steps(one.steps))
            for line in _reasons(one.steps):
                say(printable(line))


def baseline(
    model: Annotated[str, typer.Option(help="The model whose charts begin anew.")],
    identity: Annotated[
        str | None, typer.Option(help="Only this person's; left out: everybody's, and the model's own.")
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="When the change was made: such as 90m, 2h or 2026-01-31T12:00; left out: now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Set a new baseline after a change that was wanted, such as a new model version or other references.

    The next LIKENESS_DRIFT_CALIBRATION scores from the first whole window on say what is in control. What was charted
    before stays as it is, and alerts that stood are cleared. Needs the ledger alone.
    """
    now = datetime.now(UTC)
    begins = now if since is None else moment(since, now)
    if begins > now:
        raise BadInput(f"expected a change that has been made, got one of {begins:%Y-%m-%d %H:%M:%S%z}: wait for it")
    plan, done = asyncio.run(_rebase(read_settings(), model, identity, begins, now))
    if not done.charts:
        whose = f"model {model!r}" if identity is None else f"model {model!r} and identity {identity!r}"
        raise BadInput(f"no chart of {whose}: `likeness drift show` lists those that there are")
    from streams.core.drift.notices import start_of

    at = start_of(done.begins, plan).isoformat()
    if as_json:
        emit({"baseline": at, "charts": done.charts, "cleared": done.cleared})
        return
    say(f"{len(done.charts)} charts begin anew at {at}, {done.cleared} alerts are cleared with it:")
    for title in done.charts:
        say(f"  {title}")


async def _rebase(
    settings: Settings, model: str, identity: str | None, since: datetime, now: datetime
) -> "tuple[Plan, Rebased]":
    from streams.adapters.ledger.charts.baseline import set_baseline
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database
    from streams.cli.wiring.plan import drift_plan

    plan = drift_plan(settings)
    async with opened_database(addressed(settings, "ledger")) as database:
        return plan, await set_baseline(database, plan, model=model, identity=identity, since=since, at=now)


def prune(
    idle: Annotated[str, typer.Option(help="Since when nothing came: such as 90d or 2026-01-31T12:00.")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say which, and delete nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Delete charts and clips of which nothing was judged for long, with everything that is stored of them.

    Charts of runs that are over, of former settings and of models that nobody uses. What is on topics stays there; a
    sample that comes after all begins a chart, or a clip, anew. Needs the ledger alone.
    """
    before = moment(idle, datetime.now(UTC), "--idle")
    gone = asyncio.run(_prune(read_settings(), before, dry_run=dry_run))
    if as_json:
        emit({"before": before.isoformat(), **gone, "deleted": not dry_run})
        return
    for kind, titles in gone.items():
        are = "would be" if dry_run else "are"
        say(f"{len(titles)} {kind} {are} deleted: nothing came since {before:%Y-%m-%d %H:%M}")
        for title in titles:
            say(f"  {title}")


async def _prune(settings: Settings, before: datetime, *, dry_run: bool) -> dict[str, list[str]]:
    from streams.adapters.ledger.charts.idle import prune as prune_charts
    from streams.adapters.ledger.clips.erased import prune_clips
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database

    async with opened_database(addressed(settings, "ledger")) as database:
        return {
            "charts": await prune_charts(database, before=before, dry_run=dry_run),
            "clips": await prune_clips(database, before=before, dry_run=dry_run),
        }


async def _drawn(settings: Settings) -> "tuple[list[Drawn], Plan]":
    from streams.adapters.ledger.charts.shown import drawn
    from streams.cli.wiring.addresses import addressed
    from streams.cli.wiring.database import opened_database
    from streams.cli.wiring.plan import drift_plan

    plan = drift_plan(settings)
    async with opened_database(addressed(settings, "ledger")) as database:
        found = await drawn(database, plan)
    _ = plan.cusum_limit  # computed here, before anything is printed: it takes seconds
    return found, plan


def _table(drawn: "Sequence[Drawn]", plan: "Plan") -> Table:
    more = f"; limits are set for {plan.charts}" if len(drawn) > plan.charts else ""
    table = Table(title=f"{len(drawn)} charts{more}", title_justify="left", box=None, pad_edge=False)
    for name in ("chart", "windows", f"fall, limit {plan.cusum_limit:.1f}", "rise", "shift", "", "alerts"):
        table.add_column(name, justify="right" if name in ("windows", "rise", "shift") else "left")
    for one in drawn:
        if one.calibration is None:
            table.add_row(escape(printable(one.chart.title)), "0", "[dim]calibrating[/]")
            continue
        last = one.points[-1].standings if one.points else {}
        values = [f"{last[name].value:.1f}" if name in last else "" for name in ("fall", "rise", "shift")]
        alerts = "\n".join(_alert(alert) for alert in one.alerts)
        table.add_row(
            escape(printable(one.chart.title)), str(len(one.points)), *values, _line(one, plan.cusum_limit), alerts
        )
    return table


def _line(one: "Drawn", limit: float) -> str:
    """Return the last points of the fall as blocks: a full one is the limit."""
    values = [point.standings["fall"].value / limit for point in one.points[-_SHOWN:]]
    return "".join(_BLOCKS[min(len(_BLOCKS) - 1, round(value * (len(_BLOCKS) - 1)))] for value in values)


def _alert(alert: dict[str, Any]) -> str:
    since = alert["since"][:16].replace("T", " ") if "since" in alert else f"step {alert['since_step']}"
    text = f"{alert['statistic']} since {since}"
    return f"[red]{text}[/]" if alert["active"] else f"[dim]{text}, over[/]"


def _steps(steps: Sequence[dict[str, Any]]) -> Table:
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for title in ("step", "samples", *(title for title, _, _ in _METRICS), "advice"):
        table.add_column(title, justify="left" if title == "advice" else "right", no_wrap=True)
    for one in steps:
        values = ["" if one.get(name) is None else f"{one[name]:.{digits}f}" for _, name, digits in _METRICS]
        table.add_row(str(one["step"]), str(one["samples"]), *values, one["advice"])
    return table


def _reasons(steps: Sequence[dict[str, Any]]) -> list[str]:
    """Return why each advice was given, once for steps in a row of which the same is said."""
    told = []
    for (advice, reason), alike in groupby(steps, key=lambda one: (one["advice"], one["reason"])):
        numbers = [one["step"] for one in alike]
        which = f"step {numbers[0]}" if len(numbers) == 1 else f"steps {numbers[0]} to {numbers[-1]}"
        told.append(f"{which}: {advice}, {reason}")
    return told
