"""What Ctrl-C and SIGTERM do to a command that has started things: it ends them all, then itself."""

import asyncio
import signal
from collections.abc import Coroutine
from typing import Any, TypeVar

from streams.cli.terminal.output import console

T = TypeVar("T")

_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Interrupted(Exception):
    """A signal ended the work, and the work has ended everything that it had started."""

    def __init__(self, number: signal.Signals) -> None:
        """Keep which signal it was."""
        super().__init__(number.name)
        self.status = 128 + number
        """The exit status that shells expect."""


async def interruptible(
    work: Coroutine[Any, Any, T], *, says: str | None = "ending everything that was started …"
) -> T:
    """Run work that the first signal cancels; further ones change nothing, ending takes some seconds.

    Raises:
        Interrupted: If a signal came, once the work has ended.
    """
    task = asyncio.create_task(work)
    signals: list[signal.Signals] = []

    def cancel(number: signal.Signals) -> None:
        if not signals:
            if says:
                console.print(says)
            task.cancel()
        signals.append(number)

    loop = asyncio.get_running_loop()
    for number in _ENDING:
        loop.add_signal_handler(number, cancel, number)
    try:
        return await task
    except asyncio.CancelledError:
        if not signals:
            raise
        raise Interrupted(signals[0]) from None
    finally:
        for number in _ENDING:
            loop.remove_signal_handler(number)
