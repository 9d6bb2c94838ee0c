"""The demonstration: parts, workers, networks and the road, started together and ended together."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live
from rich.table import Table

from streams.adapters.faces.examiner import FaceExaminer
from streams.cli.demo.report import write_report
from streams.cli.terminal.output import console
from streams.cli.terminal.progress import running_parts
from streams.cli.wiring.services import open_services
from streams.cli.work import supervisor
from streams.errors import DependencyUnavailable
from streams.runtime.roles import ROLES
from streams.settings import Settings
from streams.tools import demo
from streams.tools.audit import count as audit
from streams.tools.audit.balance import Balance
from streams.tools.demo import Followed
from streams.tools.demo_requests import MALFORMED

#: Seconds that the watch over the parts may take to say which one has died.
_WATCH_SECONDS = 2.0


@dataclass(frozen=True)
class Plan:
    """What is to be shown."""

    settings: Settings
    requests: int
    identities: int
    workers: int
    report: Path


@dataclass(frozen=True)
class Shown:
    """What came of it."""

    followed: Followed
    balance: Balance
    report: Path


async def run(plan: Plan) -> Shown:
    """Start everything, walk the road, end everything. The first failure of anything ends all, and is raised."""
    stopping = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            # Workers and networks load while the parts start.
            workers = supervisor(plan.settings, list(ROLES), plan.workers)
            supervised = group.create_task(workers.run(stopping))
            loading = group.create_task(FaceExaminer(plan.settings, report=console.print).open())
            async with running_parts(plan.settings, fresh=True) as started:
                watch = group.create_task(started.watch())
                try:
                    return await _road(plan, started.running.fill(plan.settings), await loading)
                except DependencyUnavailable:
                    await asyncio.wait({watch}, timeout=_WATCH_SECONDS)  # it knows better what has happened
                    raise
                finally:
                    watch.cancel()
                    stopping.set()
                    await asyncio.wait({supervised})  # workers end before the parts that they work with
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _road(plan: Plan, settings: Settings, examiner: FaceExaminer) -> Shown:
    kafka = settings.address("kafka")
    followed = Followed()
    async with open_services(settings, examiner, create_gallery=True) as services:
        console.print(f"enrolling {plan.identities} people who do not exist")
        requests = await demo.prepare(services, plan.requests, identities=plan.identities)
        await demo.publish(kafka, requests)
        console.print(f"published {len(requests)} requests and {len(MALFORMED)} malformed messages")
        expected = len(requests) + len(MALFORMED)
        with Live(console=console, refresh_per_second=4, transient=True) as live:

            def tell(seen: Followed) -> None:
                if console.is_terminal:
                    live.update(_counts(seen, expected))

            await demo.follow(kafka, expected, followed, tell)
        balance = await audit.audit(kafka, settings.address("ledger"), group=settings.group)
        await write_report(plan.report, followed, balance, services)
    await examiner.close()
    if followed.ended < expected:
        logs = settings.data_dir / "logs"
        console.print(f"{expected - followed.ended} samples were not judged: see the workers' logs in {logs}")
    return Shown(followed, balance, plan.report)


def _counts(followed: Followed, expected: int) -> Table:
    table = Table.grid(padding=(0, 2))
    accepted = sum(judged.decision == "accepted" for judged in followed.verdicts.values())
    table.add_row("ended", f"[bold]{followed.ended}[/] of {expected}")
    table.add_row("accepted", f"[green]{accepted}[/]")
    table.add_row("flagged", f"[yellow]{len(followed.verdicts) - accepted}[/]")
    table.add_row("dead letters", f"[red]{len(followed.dead)}[/]")
    return table
