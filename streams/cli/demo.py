"""``likeness demo``: the whole road on this machine, with one command."""

import asyncio
import signal
import time
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.live import Live
from rich.table import Table

from streams.adapters.faces import TorchExaminer
from streams.cli.demo_report import write_report
from streams.cli.output import Json, console, emit
from streams.cli.progress import PartsDisplay
from streams.cli.wiring import fetch_weights, open_services
from streams.cli.work import supervisor
from streams.embedded import parts
from streams.runtime.roles import ROLES
from streams.settings import Settings
from streams.tools import audit as auditor
from streams.tools import demo as demonstration
from streams.tools.balance import Balance
from streams.tools.demo import Followed, StrengthRow
from streams.tools.demo_requests import MALFORMED

#: Exit status when the audit does not balance.
UNBALANCED_STATUS = 1


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(demo)


def demo(
    requests: Annotated[int, typer.Option(min=20, help="Samples to ask for.")] = 300,
    identities: Annotated[int, typer.Option(min=2, help="Synthetic identities to enrol.")] = 12,
    workers: Annotated[int, typer.Option(min=1, help="Judge processes.")] = 1,
    report: Annotated[Path | None, typer.Option(help="Where the HTML report goes.")] = None,
    as_json: Json = False,
) -> None:
    """Enrol synthetic identities, ask for samples that drift away from them, and show what the judge says."""
    began = time.monotonic()
    base = Settings()
    settings = base.model_copy(
        update={"data_dir": base.data_dir / "demo", "policy": "synthetic", "session_timeout_seconds": 10.0}
    )
    path = (report or settings.data_dir / "report.html").absolute()
    result = asyncio.run(_interruptible(_demo(settings, requests, identities, workers, path, began)))
    if as_json:
        emit(result)
    if not result["balanced"]:
        raise typer.Exit(UNBALANCED_STATUS)


async def _interruptible(work: Any) -> dict[str, Any]:
    """Run work that SIGTERM and SIGINT cancel, so that whatever it started is ended."""
    task = asyncio.ensure_future(work)
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        result: dict[str, Any] = await task
    except asyncio.CancelledError:
        console.print("interrupted; everything that was started has ended")
        raise typer.Exit(130) from None
    return result


async def _demo(
    settings: Settings, count: int, identities: int, workers: int, path: Path, began: float
) -> dict[str, Any]:
    stopping = asyncio.Event()
    supervised = asyncio.create_task(
        supervisor(settings, list(ROLES), workers).run(stopping)  # they load while the parts start
    )
    loading = asyncio.create_task(_examiner(settings))
    try:
        with PartsDisplay() as display:
            context = parts.start(settings, fresh=True, report=display.tell, weights=fetch_weights)
            started = await context.__aenter__()
        try:
            full = started.running.fill(settings)
            road = asyncio.create_task(_road(full, await loading, count, identities, path, began))
            await _first_error(road, asyncio.create_task(started.watch()), supervised)
            return road.result()
        finally:
            stopping.set()
            with suppress(asyncio.CancelledError):
                await supervised
            await context.__aexit__(None, None, None)
    finally:
        loading.cancel()
        stopping.set()
        supervised.cancel()


async def _examiner(settings: Settings) -> TorchExaminer:
    examiner = TorchExaminer(settings, report=console.print)
    await examiner.open()
    return examiner


async def _first_error(road: asyncio.Task[Any], *others: asyncio.Task[Any]) -> None:
    """Wait for the road; what ends before it has failed."""
    try:
        done, _ = await asyncio.wait({road, *others}, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            task.result()
    finally:
        for task in (road, *others[:-1]):
            task.cancel()


async def _road(
    settings: Settings, examiner: TorchExaminer, count: int, identities: int, path: Path, began: float
) -> dict[str, Any]:
    kafka = settings.kafka or ""
    followed = Followed()
    async with open_services(settings, examiner, create_gallery=True) as services:
        console.print(f"enrolling {identities} synthetic identities")
        requests = await demonstration.prepare(services, count, identities=identities, report=lambda _: None)
        await demonstration.publish(kafka, requests)
        console.print(f"published {count} requests and {len(MALFORMED)} malformed messages")
        expected = count + len(MALFORMED)
        with Live(console=console, refresh_per_second=4, transient=True) as live:
            await demonstration.follow(
                kafka,
                expected,
                followed,
                lambda seen: live.update(_counts(seen, expected)) if console.is_terminal else None,
            )
        balance = await auditor.audit(kafka, settings.ledger or "", group=settings.group)
        rows = demonstration.by_strength(list(followed.verdicts.values()))
        await write_report(path, followed, balance, services)
    first = round(followed.first_at - began, 1) if followed.first_at else None
    _show(rows, followed, balance, first, path)
    return _result(rows, balance, first, path)


def _counts(followed: Followed, expected: int) -> Table:
    table = Table.grid(padding=(0, 2))
    accepted = sum(judged.decision == "accepted" for judged in followed.verdicts.values())
    table.add_row("ended", f"[bold]{followed.ended}[/] of {expected}")
    table.add_row("accepted", f"[green]{accepted}[/]")
    table.add_row("flagged", f"[yellow]{len(followed.verdicts) - accepted}[/]")
    table.add_row("dead letters", f"[red]{len(followed.dead)}[/]")
    return table


def _show(
    rows: dict[float, StrengthRow], followed: Followed, balance: Balance, first: float | None, path: Path
) -> None:
    table = Table("σ", "samples", "accepted", "flagged", "mean similarity", "primary reasons")
    for strength, row in rows.items():
        similarity = "" if row.mean_similarity is None else f"{row.mean_similarity:.2f}"
        reasons = ", ".join(f"{code} {number}" for code, number in row.reasons.items())
        flagged = str(row.samples - row.accepted)
        table.add_row(f"{strength:.1f}", str(row.samples), str(row.accepted), flagged, similarity, reasons)
    unmade = [judged for judged in followed.verdicts.values() if judged.image is None]
    for code in sorted({judged.reasons[0].code.value for judged in unmade}):
        number = sum(judged.reasons[0].code.value == code for judged in unmade)
        table.add_row("–", str(number), "0", str(number), "", f"{code} {number}, never generated")
    console.print(table)
    console.print(auditor.render(balance))
    console.print(f"first verdict after {first} s; report: {path}", highlight=False)


def _result(rows: dict[float, StrengthRow], balance: Balance, first: float | None, path: Path) -> dict[str, Any]:
    return {
        **balance.as_dict(),
        "first_verdict_s": first,
        "by_sigma": {f"{strength:g}": asdict(row) for strength, row in rows.items()},
        "report": str(path),
    }
