"""One phase: a road is kept busy and broken, and left alone until it has settled; then the checker looks at it."""

import asyncio
import contextlib
import json
import os
import random
import shutil
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.processes.child import Child
from tests.faults.kinds.fault import Fault, Happened
from tests.faults.road.crew import REPOSITORY, until
from tests.faults.road.laid import Road
from tests.faults.schedule import Injector, Kind, Tell, drawn

#: A road that has not settled so many seconds after the last fault never will.
SETTLED_SECONDS = 240.0
_CHECK_SECONDS = 600.0
#: So many seconds may pass between the start of a road and its first verdict.
_FIRST_SECONDS = 120.0
#: Seconds between two faults, once there were enough of them.
_NOW_AND_THEN = (4.0, 8.0)
#: Seconds between two looks at the workers' memory and at the supervisors.
_KEEP_SECONDS = 2.0


@dataclass(frozen=True)
class Plan:
    """What is to happen in a phase."""

    name: str
    kinds: Sequence[Kind]
    last: Sequence[Fault] = ()
    """Faults after all others, one by one, with the road drained after each: that is when it has recovered."""
    lanes: int = 1
    """So many faults may be under way side by side, of different parts."""
    pauses: tuple[float, float] = (0.5, 3.0)
    breath_seconds: float = 10.0
    faults: int | None = None
    """How many at least, each once before any comes again; None: each once."""
    samples: int = 0
    """How many at least, where the number of faults is given."""
    seconds: float = 3600.0
    """After so long it is enough, whatever is missing."""


@dataclass
class Outcome:
    """What came of a phase."""

    name: str
    seconds: float
    settled: bool
    checked: dict[str, Any]
    """What the checker says; empty where it could not look."""
    happened: list[Happened]
    stops: list[float]
    most_rss: dict[str, int]
    oddities: list[str]
    exits: dict[str, int]
    flips: int
    """Changes of policy."""
    poison: int
    """Messages of poison that the broker has taken."""


async def run(road: Road, plan: Plan, draw: random.Random, tell: Tell) -> Outcome:
    """Do everything that is planned; whatever happens, the road is healed, and then checked."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    injector = Injector(road, draw, tell, plan.breath_seconds)
    commits = road.site.folder / "commits.jsonl"
    async with _watched(road, commits), _kept(road):
        async with _flowing(road):
            await until(lambda: road.books.now.ended > 0, "the first sample has ended", _FIRST_SECONDS)
            tell(f"{plan.name}: the road is open")
            await _break(road, plan, injector, draw, loop.time)
            tell(f"{plan.name}: all faults are done")
        await road.heal()
        settled = await _settle(road, tell)
        road.traffic.poison_percent = 0  # the last faults may count on it that all of it has ended
        for fault in plan.last:
            async with _flowing(road):
                await until(lambda: road.left > road.site.waiting // 2, "something is on its way")
            await injector.inject(fault)
            settled = await _settle(road, tell) and settled
            injector.happened[-1].recovered_seconds = time.monotonic() - injector.happened[-1].ended
    road.manifest.write(road.site.folder / "manifest.json")
    for oddity in road.crew.oddities:
        tell(f"ODD: {oddity}")
    checked = await _check(road, commits, tell)
    if not (settled and checked.get("sound")) and road.sqlite is not None:
        await asyncio.to_thread(_keep, road.disk.folder, road.site.folder / "evidence")
    return Outcome(
        plan.name,
        loop.time() - began,
        settled,
        checked,
        injector.settle(),
        road.stops,
        road.crew.most_rss,
        road.crew.oddities,
        dict(road.crew.exits),
        road.policy.flips,
        sum(one.offset is not None for one in road.manifest.poison),
    )


async def _break(road: Road, plan: Plan, injector: Injector, draw: random.Random, clock: Callable[[], float]) -> None:
    """Do faults, side by side where there are lanes, until there are enough; then one now and then, for the samples."""
    deadline = clock() + plan.seconds

    def many() -> bool:
        return clock() > deadline or (plan.faults is not None and len(injector.happened) >= plan.faults)

    def enough() -> bool:
        return clock() > deadline or (many() and road.manifest.samples >= plan.samples)

    faults = _with_flips(drawn(plan.kinds, draw, for_ever=plan.faults is not None), draw, road)
    async with asyncio.TaskGroup() as lanes:
        for _ in range(plan.lanes):
            lanes.create_task(injector.lane(faults, plan.pauses, many))
    await injector.lane(faults, _NOW_AND_THEN, enough)


def _with_flips(faults: Iterator[Fault], draw: random.Random, road: Road) -> Iterator[Fault]:
    """Yield the faults, and change the policy now and then: a second judgement would be another one."""
    for fault in faults:
        if draw.random() < 0.3:
            road.policy.flip()
        yield fault


async def _settle(road: Road, tell: Tell) -> bool:
    left = road.left
    settled = await road.drained(SETTLED_SECONDS)
    now = road.books.now
    tell(f"{'settled' if settled else 'NOT settled'}: {now.ended} of {now.rows} rows ended, {left} were left")
    return settled


@asynccontextmanager
async def _flowing(road: Road) -> AsyncIterator[None]:
    """Keep asking; what is asked last is acknowledged before this is left."""
    flow = asyncio.create_task(road.traffic.flow())
    try:
        yield
    finally:
        async with road.traffic.stopped():
            flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)


@asynccontextmanager
async def _kept(road: Road) -> AsyncIterator[None]:
    """Look after the workers."""

    async def keep() -> None:
        while True:
            road.crew.weigh()
            for role in ("generate", "judge", "reconcile"):
                await road.crew.restaff(role)
            await asyncio.sleep(_KEEP_SECONDS)

    keeping = asyncio.create_task(keep())
    try:
        yield
    finally:
        keeping.cancel()
        await asyncio.gather(keeping, return_exceptions=True)


@asynccontextmanager
async def _watched(road: Road, commits: Path) -> AsyncIterator[None]:
    """Have the commits watched, by a process of its own."""
    await asyncio.to_thread(commits.touch)
    addresses = ["--kafka", road.manifest.kafka, "--ledger", road.manifest.ledger, "--group", road.manifest.group]
    argv = [sys.executable, "-m", "tests.faults.checker.commits", *addresses, "--out", str(commits)]
    child = Child.start("commit watch", argv, _env(), road.site.folder / "logs" / "commit-watch.log")
    try:
        yield
        if child.poll() is not None:
            road.crew.oddities.append(f"the commit watch has ended: {child.log_tail(3)}")
    finally:
        await asyncio.to_thread(child.stop)


async def _check(road: Road, commits: Path, tell: Tell) -> dict[str, Any]:
    manifest = road.site.folder / "manifest.json"
    argv = [sys.executable, "-m", "tests.faults.checker.check", str(manifest), "--commits", str(commits), "--json"]
    process = await asyncio.create_subprocess_exec(
        *argv, env=_env(), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        async with asyncio.timeout(_CHECK_SECONDS):
            said, complained = await process.communicate()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
    if process.returncode not in (0, 1):
        tell(f"the checker could not look: {complained.decode()[-2000:]}")
        return {}
    found: dict[str, Any] = json.loads(said)
    for kind, cases in found.get("anomalies", {}).items():
        for case in cases[:5]:
            tell(f"{kind.upper()} {case['id']}: {case['why']}")
    return found


def _keep(disk: Path, evidence: Path) -> None:
    """Copy the ledger to where it stays: the disk that it lies on does not outlive this process."""
    evidence.mkdir()
    for file in disk.glob("ledger.db*"):
        shutil.copy2(file, evidence)


def _env() -> dict[str, str]:
    path = ":".join(filter(None, [str(REPOSITORY), os.environ.get("PYTHONPATH", "")]))
    return {**os.environ, "PYTHONPATH": path}
