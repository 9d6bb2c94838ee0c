"""What an agent takes up together. What Faust does with it is seen in the integration tests of the agents."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from streams.runtime.batches import batches

MOST = 4


class Stream:
    """Stands for Faust's, which wants a broker: a queue of what was fetched, and the event that was read last."""

    def __init__(self) -> None:
        self.channel = self
        self.queue: asyncio.Queue[int] = asyncio.Queue()
        self.current_event: int | None = None
        self.read = asyncio.Event()

    def put(self, *events: int) -> None:
        for event in events:
            self.queue.put_nowait(event)

    async def __aiter__(self) -> AsyncIterator[int]:
        while True:
            self.current_event = await self.queue.get()
            self.read.set()
            yield self.current_event


async def next_of(taken: AsyncIterator[list[Any]]) -> list[int]:
    async with asyncio.timeout(30):
        return await anext(taken)


async def test_a_backlog_is_taken_in_full_batches_and_in_order_and_its_rest_as_it_is():
    stream = Stream()
    stream.put(*range(10))
    taken = batches(stream, MOST, 0.0)
    assert [await next_of(taken) for _ in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]


async def test_a_lone_message_is_not_kept_waiting_for_a_full_batch():
    stream = Stream()
    taken = batches(stream, MOST, 0.0)
    for event in range(3):
        stream.put(event)
        assert await next_of(taken) == [event]


async def test_what_comes_while_a_lone_message_waits_goes_with_it():
    stream = Stream()
    taken = asyncio.create_task(next_of(batches(stream, MOST, 0.5)))
    stream.put(0)
    await stream.read.wait()
    stream.put(1, 2)
    assert await taken == [0, 1, 2]


async def test_where_a_full_batch_is_there_nothing_is_waited_for():
    stream = Stream()
    stream.put(*range(2 * MOST))
    taken = batches(stream, MOST, 3600.0)
    assert [await next_of(taken) for _ in range(2)] == [[0, 1, 2, 3], [4, 5, 6, 7]]
