"""Hands registered requests to Kafka, and keeps nobody waiting while Kafka is down."""

import asyncio
import logging
from contextlib import AsyncExitStack, suppress
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import NoReturn

from streams.client import Publisher
from streams.errors import LikenessError
from streams.events import GenerationRequested, Headers
from streams.runtime.patience import Patience

log = logging.getLogger(__name__)

#: Seconds that a caller waits for the brokers; what they take later is delivered all the same.
WAIT_SECONDS = 2.0
#: The most requests that are under way to Kafka; for those beyond, the reconciler does it.
UNDER_WAY = 1000
#: Seconds that the end waits for what is under way.
CLOSE_SECONDS = 5.0


class KafkaCourier:
    """Implements ``ports.Courier``: stays connected in the background."""

    def __init__(self, kafka: str, *, wait_seconds: float = WAIT_SECONDS) -> None:
        """Take Kafka's bootstrap servers. Nothing is connected yet."""
        self._kafka, self._wait = kafka, wait_seconds
        self._publisher: Publisher | None = None
        self._connected, self._failed = asyncio.Event(), asyncio.Event()
        self._under_way: set[asyncio.Task[None]] = set()
        self._late: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "KafkaCourier":
        """Connect; return without a connection where that takes long, and go on trying."""
        self._connecting = asyncio.create_task(self._stay_connected())
        with suppress(TimeoutError):
            await asyncio.wait_for(self._connected.wait(), self._wait)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Wait a little for what is under way, and disconnect."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=CLOSE_SECONDS)
        for task in (*self._under_way, self._connecting):
            task.cancel()
        await asyncio.wait({*self._under_way, self._connecting})

    async def hand_over(self, request: GenerationRequested, *, at: datetime, trace: Headers = ()) -> bool:
        """See ``ports.Courier``."""
        if self._publisher is None or len(self._under_way) >= UNDER_WAY:
            return False
        delivery = asyncio.create_task(self._publisher.request(request, trace=trace, at=at))
        self._under_way.add(delivery)
        delivery.add_done_callback(self._note)
        # While others are late, this one would be too: an outage costs its first callers their time, not all of them.
        await asyncio.wait({delivery}, timeout=0 if self._late else self._wait)
        if not delivery.done():
            self._late.add(delivery)
            return False
        return not delivery.cancelled() and delivery.exception() is None

    def _note(self, delivery: asyncio.Task[None]) -> None:
        self._under_way.discard(delivery)
        self._late.discard(delivery)
        if not delivery.cancelled() and (error := delivery.exception()):
            unforeseen = None if isinstance(error, LikenessError) else error
            log.warning(
                "a request is registered and not published, the reconciler brings it: %s", error, exc_info=unforeseen
            )
            self._failed.set()

    async def _stay_connected(self) -> NoReturn:
        """Connect, and again after a failure: there are some that a producer never gets over."""
        while True:
            async with AsyncExitStack() as stack:
                connect = partial(stack.enter_async_context, Publisher(self._kafka))
                self._publisher = await Patience()(connect)
                stack.callback(self._disconnected)
                self._failed.clear()  # what fails late on the connection before says nothing about this one
                self._connected.set()
                await self._failed.wait()

    def _disconnected(self) -> None:
        self._publisher = None
