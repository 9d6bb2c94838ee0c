"""``likeness up``, ``down``, ``topics`` and ``doctor``: the parts around the workers."""

import asyncio
import signal
import subprocess
import sys
import time
from typing import Annotated

import typer
from rich.table import Table

from streams.cli.doctor import Finding, examine
from streams.cli.output import Json, console, emit
from streams.cli.progress import PartsDisplay
from streams.cli.wiring import addressed, fetch_weights
from streams.embedded import kafka_topics, parts, state
from streams.embedded.state import Running
from streams.errors import PartFailed
from streams.settings import Settings

#: Seconds that ``up --detach`` waits for the parts, downloads included.
DETACH_SECONDS = 900.0


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command()(up)
    app.command()(down)
    app.command("topics")(create_topics)
    app.command()(doctor)


def up(
    fresh: Annotated[bool, typer.Option(help="Delete the embedded parts' data first.")] = False,
    detach: Annotated[bool, typer.Option(help="Leave the parts running in the background.")] = False,
    as_json: Json = False,
) -> None:
    """Start Kafka, Triton, Milvus and the ledger on this machine, until Ctrl-C or `likeness down`."""
    settings = Settings()
    if detach:
        _show(_detach(settings, fresh), as_json)
        return
    asyncio.run(_up(settings, fresh, as_json))


async def _up(settings: Settings, fresh: bool, as_json: bool) -> None:
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        loop.add_signal_handler(number, stopping.set)
    main = asyncio.create_task(_run(settings, fresh, as_json))
    asked = asyncio.create_task(stopping.wait())
    await asyncio.wait({main, asked}, return_when=asyncio.FIRST_COMPLETED)
    if not main.done():
        main.cancel()
    asked.cancel()
    try:
        await main
    except asyncio.CancelledError:
        console.print("the parts have ended; their data is kept")


async def _run(settings: Settings, fresh: bool, as_json: bool) -> None:
    with PartsDisplay() as display:
        context = parts.start(settings, fresh=fresh, report=display.tell, weights=fetch_weights)
        started = await context.__aenter__()
    try:
        _show(started.running, as_json)
        await started.watch()
    finally:
        await context.__aexit__(None, None, None)


def _detach(settings: Settings, fresh: bool) -> Running:
    """Start the parts in a process of their own and wait until they are ready."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    log_path = settings.data_dir / "up.log"
    command = [sys.executable, "-m", "streams.cli.main", "up", *(["--fresh"] if fresh else [])]
    with log_path.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    deadline = time.monotonic() + DETACH_SECONDS
    while time.monotonic() < deadline:
        running = state.read(settings.data_dir)
        if running is not None and running.pid == process.pid:
            return running
        if process.poll() is not None:
            raise PartFailed(log_path.read_text(errors="replace")[-2000:].strip())
        time.sleep(0.1)
    process.terminate()
    raise PartFailed(f"the parts are not ready after {DETACH_SECONDS:.0f} s: see {log_path}")


def _show(running: Running, as_json: bool) -> None:
    addresses = {name: getattr(running, name) for name in ("kafka", "triton", "milvus", "ledger", "images")}
    if as_json:
        emit({**addresses, "pid": running.pid, "versions": dict(running.versions), "logs": dict(running.logs)})
        return
    table = Table.grid(padding=(0, 2))
    for name, address in addresses.items():
        table.add_row(f"[bold]{name}[/]", address)
    console.print(table)


def down(as_json: Json = False) -> None:
    """End the parts that `likeness up` started; their data is kept."""
    ended = state.down(Settings().data_dir)
    if as_json:
        emit({"ended": ended})
    else:
        console.print("the parts have ended" if ended else "nothing was running")


def create_topics(as_json: Json = False) -> None:
    """Create the topics that are missing; the embedded Kafka has them already."""
    settings = addressed(Settings())
    created = asyncio.run(kafka_topics.create(settings.kafka or ""))
    if as_json:
        emit({"created": list(created)})
    else:
        console.print(f"created: {', '.join(created) or 'nothing, all are there'}")


def doctor(as_json: Json = False) -> None:
    """Say what is installed, what runs, in which versions, and what to do about what is wrong."""
    findings = asyncio.run(examine(Settings()))
    if as_json:
        emit({"findings": [vars(finding) for finding in findings], "well": all(f.well for f in findings)})
    else:
        console.print(_findings(findings))
    if not all(finding.well for finding in findings):
        raise typer.Exit(1)


def _findings(findings: list[Finding]) -> Table:
    table = Table("", "what", "found", "what to do")
    for finding in findings:
        mark = "[green]✓[/]" if finding.well else "[red]✗[/]"
        table.add_row(mark, finding.what, finding.found, finding.remedy)
    return table
