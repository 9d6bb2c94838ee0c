"""The demonstration: parts, workers, networks and the road, started together and ended together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from rich.live import Live

from streams.adapters.faces.examiner import FaceExaminer
from streams.cli.demo.live import Shower
from streams.cli.demo.report import Outcome, write_report
from streams.cli.demo.training import Loop, charted
from streams.cli.terminal.output import console
from streams.cli.terminal.progress import running_parts
from streams.cli.wiring.services import open_services
from streams.cli.wiring.workers import supervisor
from streams.errors import DependencyUnavailable
from streams.ports import Services
from streams.runtime.roles import MONITOR, ROLES
from streams.settings import Settings
from streams.tools import demo
from streams.tools.audit import count as audit
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
    quick: bool
    """Whether the trained families and the training run are left out."""


async def run(plan: Plan) -> Outcome:
    """Start everything, walk the road, end everything. The first failure of anything ends all, and is raised."""
    stopping = asyncio.Event()
    try:
        async with asyncio.TaskGroup() as group:
            # Workers and networks load while the parts start.
            roles = list(ROLES) if plan.quick else [*ROLES, MONITOR.name]
            workers = supervisor(plan.settings, roles, plan.workers)
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


async def _road(plan: Plan, settings: Settings, examiner: FaceExaminer) -> Outcome:
    kafka = settings.address("kafka")
    followed, training = Followed(), None
    async with open_services(settings, examiner, create_gallery=True) as services:
        console.print(f"enrolling {plan.identities} people who do not exist")
        asked = await demo.prepare(services, plan.requests, identities=plan.identities, families=not plan.quick)
        await demo.publish(kafka, asked.requests)
        console.print(f"published {len(asked.requests)} requests and {len(MALFORMED)} malformed messages")
        expected = asked.samples + len(MALFORMED)
        if plan.quick:
            await _follow(kafka, expected, None, followed)
        else:
            async with _training(settings, services, asked.people) as loop:
                await _follow(kafka, expected, loop, followed)
            expected += loop.samples or 0
            training = await charted(settings, followed)
        balance = await audit.audit(kafka, settings.address("ledger"), group=settings.group)
        outcome = Outcome(followed, balance, asked, training)
        await write_report(plan.report, outcome, services)
    await examiner.close()
    if followed.ended < expected:
        logs = settings.data_dir / "logs"
        console.print(f"{expected - followed.ended} samples were not judged: see the workers' logs in {logs}")
    return outcome


@asynccontextmanager
async def _training(settings: Settings, services: Services, people: list[str]) -> AsyncIterator[Loop]:
    """Run a training loop beside; it has ended on leaving."""
    loop = Loop()
    try:
        async with asyncio.TaskGroup() as group:
            running = group.create_task(loop.run(settings, services, people))
            yield loop
            running.cancel()
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def _follow(kafka: str, expected: int, loop: Loop | None, followed: Followed) -> None:
    """Show what comes until all has ended that was asked for, and all is said of the training run."""

    def complete(seen: Followed) -> bool:
        if loop is None:
            return seen.ended >= expected
        return loop.advised(seen) and seen.ended >= expected + (loop.samples or 0)

    with Live(console=console, refresh_per_second=4, transient=True) as live:
        shower = Shower(live, expected)
        await demo.follow(kafka, complete, followed, shower.tell)
