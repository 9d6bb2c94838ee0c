"""One worker process: starts the app, stops it on a signal, and lets a crash be seen in the exit status."""

import asyncio
import logging
import signal
from contextlib import suppress
from functools import partial
from typing import TypeVar

from streams.runtime.app import build_app
from streams.runtime.logs import quiet_libraries, quieten_dying_threads
from streams.runtime.metrics import Metrics
from streams.runtime.patience import Patience
from streams.runtime.ready import find_topics
from streams.runtime.roles import Role
from streams.runtime.watchdog import Watchdog
from streams.settings import Settings

S = TypeVar("S")

log = logging.getLogger(__name__)

#: Seconds that a stop may take; what is cut off then comes again.
STOP_SECONDS = 20.0


async def work(
    settings: Settings, services: S, role: Role[S], patience: Patience, metrics: Metrics | None = None
) -> None:
    """Run one role until SIGTERM or SIGINT.

    Raises:
        Exception: Whatever ended the agent before a signal came; the process should end with it.
    """
    quiet_libraries()
    metrics = metrics or Metrics()
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)

    ready = asyncio.create_task(patience(partial(find_topics, settings.address("kafka"), role.tells)))
    if not await _first(ready, stopping):
        return
    app = build_app(settings, metrics.watch(services), role, patience, metrics)
    await app.start()
    Watchdog(
        settings.address("kafka"),
        role.group(settings.group),
        patience,
        lambda: {(place.topic, place.partition) for place in app.consumer.assignment()},
        limit_seconds=settings.stuck_after_seconds,
        call_seconds=settings.call_timeout_seconds,
        metrics=metrics,
    ).start()
    log.info("%s works for group %s", role.name, role.group(settings.group))
    stopped = asyncio.create_task(app.wait_until_stopped())
    crashed = await _first(stopped, stopping)
    quieten_dying_threads()
    with suppress(TimeoutError):
        await asyncio.wait_for(app.stop(), STOP_SECONDS)
    if app.crash_reason is not None:
        if crashed:
            raise app.crash_reason
        log.warning("cut off while it stopped, what is not committed comes again: %r", app.crash_reason)


async def _first(task: asyncio.Task[None], stopping: asyncio.Event) -> bool:
    """Wait for the task or for the signal; return whether the task was first. Raises what the task raised."""
    signalled = asyncio.create_task(stopping.wait())
    await asyncio.wait({task, signalled}, return_when=asyncio.FIRST_COMPLETED)
    signalled.cancel()
    if not task.done():
        task.cancel()
        return False
    task.result()
    return True
