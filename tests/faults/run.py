"""The run: one phase after the other, the mutations, and the command around them."""

import asyncio
import json
import logging
import os
import random
import re
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer

from streams.errors import PartFailed
from tests.bench.machine import machine
from tests.faults import phase, report
from tests.faults.kinds.wipe import Wiped
from tests.faults.plans import LONG, SHORT, Size, of_one_broker, of_three_brokers
from tests.faults.results import Results
from tests.faults.road.crew import REPOSITORY
from tests.faults.road.laid import Road, Site, laid
from tests.faults.road.volume import own_mounts
from tests.faults.schedule import FAILURES, Kind, Tell
from tests.postgres import native
from tests.postgres_binaries import binaries as postgres_binaries

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)

#: Seconds that the mutations may take.
_MUTATIONS_SECONDS = 900.0


@dataclass
class Run:
    """One run of everything."""

    size: Size
    folder: Path
    may_mount: bool
    tell: Tell
    only: str
    """A pattern: faults of other names are left out."""
    results: Results

    async def all(self, *, mutations: bool) -> None:
        """Do everything. Whatever is done by then is in the results, however this ends."""
        try:
            await self._phases()
        except (*FAILURES, BaseExceptionGroup) as error:
            self.tell("".join(traceback.format_exception(error)))
            self.results.broken.append(f"{type(error).__name__}: {error}")
        if mutations:
            self.results.mutations = await self._mutations()

    async def _phases(self) -> None:
        draw = random.Random(self.results.seed)
        async with self._laid(self._site("one-broker", self.size.megabytes)) as road:
            await self._phase(road, self._with_one(), draw)
            await road.crew.dismiss(list(road.crew.hands))
            await self._with_three(road, draw)

    @asynccontextmanager
    async def _laid(self, site: Site, beside: Road | None = None) -> AsyncIterator[Road]:
        """Lay a road. Another program may take a port between its choice and its use: then once more."""
        async with AsyncExitStack() as stack:
            try:
                road = await stack.enter_async_context(laid(site, beside))
            except PartFailed as error:
                self.tell(f"laying the road again: {str(error).splitlines()[0]}")
                again = replace(site, folder=site.folder.with_name(f"{site.folder.name}-again"))
                road = await stack.enter_async_context(laid(again, beside))
            yield road

    def _with_one(self) -> phase.Plan:
        size, last = self.size, [kind.fault for kind in self._chosen([Kind(Wiped())])]
        return phase.Plan(
            "one broker, SQLite",
            self._chosen(of_one_broker()),
            last,
            size.lanes,
            size.pauses,
            size.breath_seconds,
            size.faults,
            size.samples,
            size.seconds,
        )

    async def _with_three(self, beside: Road, draw: random.Random) -> None:
        with ExitStack() as stack:
            server = stack.enter_context(native()) if postgres_binaries() is not None else None
            ledger = stack.enter_context(server.server.database()) if server is not None else None
            site = replace(self._site("three-brokers", 512), kafka_nodes=3, ledger=ledger)
            size = self.size
            plan = phase.Plan(
                f"three brokers, {'PostgreSQL' if ledger else 'SQLite'}",
                self._chosen(of_three_brokers(server)),
                lanes=size.lanes,
                pauses=size.pauses,
                breath_seconds=size.breath_seconds,
                faults=size.faults_of_three,
                samples=size.samples_of_three,
                seconds=size.seconds_of_three,
            )
            async with self._laid(site, beside) as road:
                await self._phase(road, plan, draw)

    async def _phase(self, road: Road, plan: phase.Plan, draw: random.Random) -> None:
        self.results.outcomes.append(await phase.run(road, plan, draw, self.tell))

    def _chosen(self, kinds: Sequence[Kind]) -> list[Kind]:
        return [kind for kind in kinds if re.search(self.only, kind.fault.name)]

    def _site(self, name: str, megabytes: int) -> Site:
        return Site(self.folder / name, self.results.seed, self.may_mount, self.size.waiting, megabytes)

    async def _mutations(self) -> dict[str, Any]:
        argv = [
            sys.executable,
            "-m",
            "tests.faults.mutations.trials",
            "--json",
            "--keep",
            str(self.folder / "mutations"),
        ]
        process = await asyncio.create_subprocess_exec(
            *argv, cwd=REPOSITORY, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(_MUTATIONS_SECONDS):
                said, complained = await process.communicate()
        except TimeoutError:
            self.results.broken.append(f"the mutations took more than {_MUTATIONS_SECONDS:.0f} s")
            return {}
        finally:
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGINT)  # it ends its own children
            await process.wait()
        if process.returncode not in (0, 1) or not said:
            self.results.broken.append(f"the mutations could not be tried: {complained.decode()[-1000:]}")
            return {}
        found: dict[str, Any] = json.loads(said)
        self.tell(f"{found['mutations_caught']} of {found['mutations']} mutations caught")
        return found


@app.command()
def faults(
    long: Annotated[bool, typer.Option("--long", help="At least 20 000 samples and 300 faults.")] = False,
    seed: Annotated[int | None, typer.Option(help="Draws the schedule; a new one where none is given.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object instead of the report.")] = False,
    publish: Annotated[Path | None, typer.Option(help="A folder: write RELIABILITY.md and reliability.json.")] = None,
    folder: Annotated[Path | None, typer.Option(help="A new folder where everything lies, and stays.")] = None,
    only: Annotated[str, typer.Option(help="A pattern: leave out faults of other names.")] = "",
    mutations: Annotated[bool, typer.Option(help="Show that the check can fail.")] = True,
) -> None:
    """Break the road in every way we know, and hold it to its promise. Exit status 1 where it did not keep it."""
    may_mount = own_mounts()
    _quiet()
    size = LONG if long else SHORT
    seed = random.SystemRandom().randrange(2**31) if seed is None else seed
    results, began = Results(seed, size.name, machine()), time.monotonic()

    def tell(text: str) -> None:
        print(f"{time.monotonic() - began:7.1f} s  {text}", file=sys.stderr, flush=True)

    place = folder or Path(tempfile.mkdtemp(prefix="likeness-faults-"))
    tell(f"seed {seed}, {place}, {'with' if may_mount else 'without'} a disk of its own")
    try:
        asyncio.run(_until_told(Run(size, place, may_mount, tell, only, results), mutations=mutations))
    except asyncio.CancelledError:
        results.broken.append("it was told to stop")
    finally:
        results.seconds = time.monotonic() - began
        # A run that was cut short must not take the place of a whole one.
        _show(results.as_dict(), as_json=as_json, publish=None if results.broken else publish)
    if results.sound and folder is None:
        shutil.rmtree(place, ignore_errors=True)
    elif not results.sound:
        tell(f"see {place}")
    raise typer.Exit(0 if results.sound else 1)


async def _until_told(run: Run, *, mutations: bool) -> None:
    """Run until the end, or a signal: then everything that was started is ended."""
    task = asyncio.create_task(run.all(mutations=mutations))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await task


def _quiet() -> None:
    """Let nothing in from outside, and no library speak: under an outage it is a hundred lines a second."""
    for name in [name for name in os.environ if name.startswith("LIKENESS_") and name != "LIKENESS_CACHE_DIR"]:
        del os.environ[name]
    logging.basicConfig(level=logging.ERROR)
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)


def _show(result: dict[str, Any], *, as_json: bool, publish: Path | None) -> None:
    if publish is not None:
        publish.mkdir(parents=True, exist_ok=True)
        (publish / "RELIABILITY.md").write_text(report.markdown(result))
        (publish / "reliability.json").write_text(json.dumps(result, indent=2) + "\n")
    print(json.dumps(result) if as_json else report.markdown(result))
