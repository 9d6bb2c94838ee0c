"""``likeness up``, ``down``, ``topics`` and ``doctor``: the parts around the workers."""

import asyncio
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from streams.cli.terminal.output import Json, console, emit, page, say
from streams.errors import SETUP_STATUS, BadInput, LikenessError, PartFailed
from streams.settings import PARTS, Settings, read_settings

if TYPE_CHECKING:
    from streams.cli.doctor import Finding
    from streams.embedded.state import Running

#: Seconds that ``up --detach`` waits for the parts, downloads included.
DETACH_SECONDS = 900.0


def add_to(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command(rich_help_panel="Run")(up)
    app.command(rich_help_panel="Run")(down)
    app.command("topics", rich_help_panel="Run")(create_topics)
    app.command(rich_help_panel="Run")(doctor)


def up(
    fresh: Annotated[bool, typer.Option("--fresh", help="Delete the embedded parts' data first.")] = False,
    detach: Annotated[bool, typer.Option("--detach", help="Leave the parts running in the background.")] = False,
    kafka_nodes: Annotated[
        int,
        typer.Option("--kafka-nodes", metavar="1|3", help="Three keep every record three times: one may die."),
    ] = 1,
    as_json: Json = False,
) -> None:
    """Start Kafka, Triton, Milvus and the ledger on this machine.

    They run until Ctrl-C or `likeness down`; their data is kept in LIKENESS_DATA_DIR. A part whose address is set
    (LIKENESS_KAFKA, …) is used where it is and not started.
    """
    settings = read_settings()
    if detach:
        _show(_detach(settings, fresh, kafka_nodes), as_json)
    else:
        _stay(settings, fresh, kafka_nodes, as_json)


def _stay(settings: Settings, fresh: bool, kafka_nodes: int, as_json: bool) -> None:
    from streams.cli.terminal.interruption import Interrupted, interruptible

    try:
        asyncio.run(interruptible(_up(settings, fresh, kafka_nodes, as_json)))
    except Interrupted:  # the way in which it is meant to end
        console.print("the parts have ended; their data is kept")


async def _up(settings: Settings, fresh: bool, kafka_nodes: int, as_json: bool) -> None:
    from streams.cli.terminal.progress import running_parts

    async with running_parts(settings, fresh=fresh, kafka_nodes=kafka_nodes) as started:
        _show(started.running, as_json)
        await started.watch()


def _detach(settings: Settings, fresh: bool, kafka_nodes: int) -> "Running":
    """Start the parts in a process of their own and wait until they are ready."""
    from streams.embedded import folder, state

    if refusal := state.already_up(settings.data_dir):
        raise refusal
    folder.claim(settings.data_dir)
    log_path = settings.data_dir / "up.log"
    command = [sys.executable, "-m", "streams.cli.main", "up", f"--kafka-nodes={kafka_nodes}"]
    command += ["--fresh"] if fresh else []
    with folder.writable(settings.data_dir), log_path.open("wb") as log:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
    running = None
    try:
        deadline = time.monotonic() + DETACH_SECONDS
        while running is None and time.monotonic() < deadline:
            if process.poll() is not None:
                raise _failure(process.returncode, log_path.read_text(errors="replace"))
            running = state.read(settings.data_dir)
            time.sleep(0.1)
    finally:
        if running is None:
            process.terminate()
    if running is None:
        raise PartFailed(f"the parts are not ready after {DETACH_SECONDS:.0f} s: see {log_path}")
    return running


def _failure(status: int, log: str) -> LikenessError:
    """Return the error that ended ``up`` in the background, without the progress before it."""
    _, found, message = log.rpartition("likeness: ")
    text = (message if found else log[-2000:]).strip()
    return BadInput(text) if status == SETUP_STATUS else PartFailed(text)


def _show(running: "Running", as_json: bool) -> None:
    addresses: dict[str, str] = {name: getattr(running, name) for name in PARTS}
    if as_json:
        emit({**addresses, "pid": running.pid, "versions": dict(running.versions), "logs": dict(running.logs)})
        return
    for name, address in addresses.items():
        say(f"{name:7} {address}")


def down(as_json: Json = False) -> None:
    """End the parts that `likeness up` started; their data is kept."""
    from streams.embedded import state

    ended = state.down(read_settings().data_dir)
    if as_json:
        emit({"ended": ended})
    else:
        say("the parts have ended; their data is kept" if ended else "nothing was running")


def create_topics(as_json: Json = False) -> None:
    """Create the topics that are missing on a Kafka of your own; the embedded one has them already."""
    from streams.cli.wiring.addresses import addressed, answering
    from streams.embedded import kafka_topics

    settings = addressed(read_settings(), "kafka")
    asyncio.run(answering(settings, "kafka"))
    created = asyncio.run(kafka_topics.create(settings.address("kafka")))
    if as_json:
        emit({"created": list(created)})
    else:
        say(f"created: {', '.join(created)}" if created else "all topics are there already")


def doctor(as_json: Json = False) -> None:
    """Say what is installed, what runs, and what to do about what is wrong.

    Exit status 1 where something is wrong. Nothing is started and nothing is changed.
    """
    from streams.cli.doctor import examine

    findings = asyncio.run(examine(read_settings()))
    well = all(finding.well for finding in findings)
    if as_json:
        emit({"findings": [vars(finding) for finding in findings], "well": well})
    else:
        page.print(_findings(findings))
    if not well:
        raise typer.Exit(1)


def _findings(findings: list["Finding"]) -> Table:
    table = Table("", "what", "found", "what to do", box=None, pad_edge=False)
    for finding in findings:
        mark = "[green]✓[/]" if finding.well else "[red]✗[/]"
        table.add_row(mark, finding.what, finding.found, finding.remedy)
    return table
