"""Ends Kafka's clients, whatever state their broker left them in."""

import asyncio
from collections.abc import Coroutine
from typing import Any

#: How long clients may take to end, in seconds. They only say goodbye: nothing that counts is lost without it.
CLOSE_SECONDS = 5.0


async def closed(*closings: Coroutine[Any, Any, None]) -> None:
    """Await ``stop()`` and ``close()`` of clients, all at once; what fails or takes long is given up.

    Each runs in a task of its own: just after a broker has died, aiokafka's consumer ends in a cancellation that nobody
    asked for, and whoever awaited it directly would take it for their own.
    """
    tasks = [asyncio.create_task(closing) for closing in closings]
    _, slow = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
    for task in slow:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
