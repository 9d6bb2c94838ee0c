"""A road that stands ready: embedded parts on a folder of their own, an open engine, and people who are enrolled."""

import asyncio
import gc
import signal
import tempfile
from collections.abc import AsyncIterator, Coroutine, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from streams.adapters.faces.examiner import FaceExaminer
from streams.cli.terminal.output import console
from streams.cli.terminal.progress import PartsDisplay
from streams.cli.wiring.services import fetch_weights, open_services
from streams.embedded import parts
from streams.ports import Services
from streams.settings import Settings, read_settings
from streams.tools.synthetic import enrol_synthetic
from tests.bench.filling import MODEL

T = TypeVar("T")

IDENTITIES = 12


@dataclass(frozen=True)
class Stage:
    """What stands ready."""

    settings: Settings
    """With the address of every part."""
    services: Services
    people: list[str]


@contextmanager
def bench_settings(threads: int) -> Iterator[Settings]:
    """Return what the environment sets, with a data folder that is deleted at the end, and embedded parts alone."""
    base = read_settings()
    base.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="bench-", dir=base.data_dir) as folder:
        yield base.model_copy(
            update={
                "data_dir": Path(folder) / "data",
                "policy": "synthetic",
                "session_timeout_seconds": 10.0,
                "threads": threads,
                # Embedded parts alone: somebody else's topics are no place for a bench.
                **dict.fromkeys(("kafka", "triton", "milvus", "ledger", "images")),
            }
        )


@asynccontextmanager
async def standing(settings: Settings) -> AsyncIterator[Stage]:
    """Start the parts, load the networks and enrol; end everything on leaving."""
    async with AsyncExitStack() as stack:
        examiner = FaceExaminer(settings, report=console.print)
        stack.push_async_callback(examiner.close)
        await examiner.open()
        with PartsDisplay() as display:
            started = await stack.enter_async_context(parts.start(settings, report=display.tell, weights=fetch_weights))
        settings = started.running.fill(settings)
        async with open_services(settings, examiner, create_gallery=True) as services:
            people = await enrol_synthetic(IDENTITIES, services, model=MODEL)
        # What earlier parts left behind is looked through by every collection of garbage: no worker has to do that, so
        # the bare engine, which computes in this process, is spared it too.
        gc.collect()
        gc.freeze()
        # Opened again, as after `likeness enrol`: whoever closes a gallery has Milvus Lite write down what it holds.
        yield Stage(settings, await stack.enter_async_context(open_services(settings, examiner)), people)


async def terminable(work: Coroutine[Any, Any, T]) -> T:
    """Run the bench; SIGTERM ends it in order, like Ctrl-C, so that whatever it started is ended."""
    task = asyncio.ensure_future(work)
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        console.print("interrupted; everything that was started has ended")
        raise SystemExit(130) from None
