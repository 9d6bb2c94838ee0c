"""Batches that fit the backlog: a lone message hardly waits for company, and a backlog is taken in full batches."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any


async def batches(stream: Any, most: int, wait_seconds: float) -> AsyncIterator[list[Any]]:
    """Yield the events of a Faust stream in order: at least one at a time, at most ``most``. Acknowledges nothing.

    The first one waits ``wait_seconds`` for those that come with it, and no longer; where a full batch is fetched
    already, nothing is waited for. Faust's own ``noack_take`` waits until its timeout for anything but a full batch.

    Args:
        stream: With ``enable_acks`` off: else it acknowledges an event as soon as the next one is asked for.
        most: Events in a full batch.
        wait_seconds: Of the first event of one that is not full yet.
    """
    fetched, events = stream.channel.queue, []
    async for _ in stream:
        events.append(stream.current_event)
        if len(events) == 1 and fetched.qsize() < most - 1:
            await asyncio.sleep(wait_seconds)
        if len(events) == most or fetched.empty():
            yield events
            events = []
