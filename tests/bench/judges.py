"""The step as a machine's workers do it: a process a core, one compute thread each."""

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from streams.settings import Settings
from streams.wheels import Report
from tests.bench.child import Child, child


class Judges:
    """Such processes, while they run."""

    def __init__(self, children: Sequence[Child]) -> None:
        """Take the processes."""
        self._children = children

    async def judge(self, engine: str, precision: str) -> tuple[float, float]:
        """Have every process judge all samples at once; return how many, and in what time."""
        began = time.perf_counter()
        answers = await asyncio.gather(*(one.ask(f"{engine} {precision}") for one in self._children))
        return sum(answer["judged"] for answer in answers), time.perf_counter() - began


@asynccontextmanager
async def judges(settings: Settings, report: Report) -> AsyncIterator[Judges]:
    """Start as many processes as the settings have threads, until leaving.

    Raises:
        Unready: If they do not start.
    """
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    environment = os.environ | {
        "LIKENESS_CACHE_DIR": str(settings.cache_dir),
        "LIKENESS_THREADS": "1",
    }
    command = [sys.executable, "-m", "tests.bench.judge_process"]
    async with AsyncExitStack() as stack:
        report(f"starting {settings.threads} processes that judge, of one thread each")
        children = [
            await stack.enter_async_context(
                child("a process that judges", command, environment, settings.data_dir / f"judge-{number}.log")
            )
            for number in range(settings.threads)
        ]
        yield Judges(children)
