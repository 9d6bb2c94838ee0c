"""What counts as done, and what is committed, when partitions are taken away: nothing that was read before."""

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from aiokafka.structs import ConsumerRecord
from faust.types import TP

from streams import topics
from streams.runtime.app import build_app
from streams.runtime.consumer import Consumer
from streams.runtime.patience import Patience
from streams.runtime.reading import LostOnTheWay
from streams.runtime.roles import JUDGE
from streams.settings import Settings

PLACE = TP(topics.TRAINING_SAMPLES.name, 0)


class Thread:
    """Stands for the thread in which Faust has its client."""

    beacon = None

    def __init__(self) -> None:
        self.committed: dict[TP, int | None] = {PLACE: None}
        self.ends, self.sought = {PLACE: 100}, dict[TP, int]()
        self.records: list[ConsumerRecord] = []
        self.fetching: asyncio.Event | None = None
        """What a fetch waits for."""
        self.takes_commits = True

    async def seek_to_committed(self) -> dict[TP, int | None]:
        return dict(self.committed)

    async def highwaters(self, *places: TP) -> dict[TP, int]:
        return {place: self.ends[place] for place in places}

    def seek(self, place: TP, offset: int) -> None:
        self.sought[place] = offset

    async def commit(self, offsets: dict[TP, int]) -> bool:
        if self.takes_commits:
            self.committed |= offsets
        return self.takes_commits

    async def getmany(self, places: set[TP] | None, seconds: float) -> dict[TP, list[ConsumerRecord]]:
        if self.fetching is not None:
            await self.fetching.wait()
        found, self.records = self.records, []
        return {PLACE: found} if found else {}

    def assignment(self) -> set[TP]:
        return {PLACE}


class Threadless(Consumer):
    """The consumer, without a client."""

    def _new_consumer_thread(self) -> Any:
        return Thread()


class Producer:
    """Stands for the app's producer: a flush may take until after a rebalance."""

    def __init__(self) -> None:
        self.meanwhile: Callable[[], Any] | None = None

    async def flush(self) -> None:
        if self.meanwhile is not None:
            await self.meanwhile()


@pytest.fixture
async def consumer(services, monkeypatch) -> Consumer:
    app = build_app(Settings(kafka="127.0.0.1:1"), services, JUDGE, Patience())
    assert app.transport.Consumer is Consumer
    app.transport.Consumer = Threadless
    consumer = app.consumer
    monkeypatch.setattr(app, "_producer", Producer())
    monkeypatch.setattr(consumer, "_on_partitions_revoked", _nothing)
    monkeypatch.setattr(type(app.topics), "acks_enabled_for", lambda self, topic: True)
    return consumer


async def _nothing(*_: object, **__: object) -> None:
    """Nobody else is told."""


async def read(consumer: Consumer, *offsets: int) -> list[Any]:
    """Fetch these, and hand them on as messages."""
    consumer._thread.records = [
        ConsumerRecord(PLACE.topic, PLACE.partition, offset, 0, 0, b"", b"", None, 0, 0, ()) for offset in offsets
    ]
    found = await consumer._getmany({PLACE}, 1.0)
    return [consumer._to_message(PLACE, record) for record in found[PLACE]]


async def test_what_is_read_and_done_is_committed(consumer):
    await consumer.perform_seek()
    assert all(consumer.ack(message) for message in await read(consumer, 0, 1))
    assert await consumer.commit()
    assert consumer._thread.committed == {PLACE: 2}


async def test_what_was_read_before_a_rebalance_does_not_count_as_done_after_it(consumer):
    await consumer.perform_seek()
    [message] = await read(consumer, 0)
    await consumer.on_partitions_revoked({PLACE})
    await consumer.perform_seek()
    assert not consumer.ack(message)
    assert not await consumer.commit()
    [again] = await read(consumer, 0)
    assert consumer.ack(again)


async def test_a_commit_that_waits_through_a_rebalance_is_not_made_and_leaves_no_trace(consumer):
    await consumer.perform_seek()
    for message in await read(consumer, *range(10)):
        consumer.ack(message)

    async def rebalance() -> None:
        await consumer.on_partitions_revoked({PLACE})
        await consumer.perform_seek()

    consumer.app._producer.meanwhile = rebalance
    assert not await consumer.commit()
    assert consumer._thread.committed == {PLACE: None}
    consumer.app._producer.meanwhile = None
    # As on a topic that was made anew: the first messages count, though others were once further.
    [first] = await read(consumer, 0)
    consumer.ack(first)
    assert await consumer.commit()
    assert consumer._thread.committed == {PLACE: 1}


@pytest.mark.parametrize(("committed", "begins"), [(99, None), (100, None), (101, 0)])
async def test_a_topic_that_ends_before_the_committed_offset_is_read_from_its_beginning(consumer, committed, begins):
    consumer._thread.committed[PLACE] = committed
    await consumer.perform_seek()
    assert consumer._thread.sought.get(PLACE) == begins
    assert consumer._thread.committed[PLACE] == (committed if begins is None else begins)
    first = committed if begins is None else begins
    assert consumer._read_offset[PLACE] == first


async def test_a_full_queue_takes_no_partition_out_of_the_reading(consumer):
    consumer.resume_partitions({PLACE})
    consumer.on_buffer_full(PLACE)
    assert PLACE in consumer._get_active_partitions()


@pytest.mark.parametrize("lost", [5, 6])
async def test_a_message_that_was_fetched_and_never_came_to_the_agent_is_found_out_by_the_next_one(consumer, lost):
    consumer._thread.committed[PLACE] = 5
    await consumer.perform_seek()
    came = [message for message in await read(consumer, 5, 6, 7) if message.offset != lost]
    before, behind = came[: lost - 5], came[lost - 5]
    for message in before:
        consumer.ack(message)
    with pytest.raises(LostOnTheWay, match=f"expected {lost} to be done next, got {lost + 1}"):
        consumer.ack(behind)
    await consumer.commit()
    assert consumer._thread.committed == {PLACE: lost}


async def test_no_commit_goes_past_what_is_not_done(consumer):
    consumer._thread.committed[PLACE] = 5
    await consumer.perform_seek()
    for message in (await read(consumer, 5, 6, 7))[:2]:
        consumer.ack(message)
    await consumer.commit()
    assert consumer._thread.committed == {PLACE: 7}


async def test_offsets_that_kafka_gives_nobody_hold_no_commit_up(consumer):
    consumer._thread.committed[PLACE] = 5
    await consumer.perform_seek()
    for message in await read(consumer, 7, 8, 11):
        consumer.ack(message)
    assert await consumer.commit()
    assert consumer._thread.committed == {PLACE: 12}


async def test_a_commit_that_the_broker_refused_is_tried_again(consumer):
    await consumer.perform_seek()
    [message] = await read(consumer, 0)
    consumer.ack(message)
    consumer._thread.takes_commits = False
    assert not await consumer.commit()
    consumer._thread.takes_commits = True
    assert await consumer.commit()
    assert consumer._thread.committed == {PLACE: 1}


async def test_going_back_waits_for_a_fetch_that_is_under_way_and_lets_nothing_flow_until_it_is_resumed(consumer):
    consumer.resume_flow()
    consumer._thread.fetching = asyncio.Event()
    fetch = asyncio.create_task(read(consumer, 0))
    await asyncio.sleep(0)
    seek = asyncio.create_task(consumer.perform_seek())
    await asyncio.sleep(0)
    assert (consumer.flow_active, seek.done()) == (False, False)
    consumer._thread.fetching.set()
    [stale] = await fetch
    await seek
    assert not consumer.flow_active
    assert not consumer.ack(stale)  # it comes again
    [again] = await read(consumer, 0)
    assert consumer.ack(again)
