"""Faust's consumer, made exact about what was read, what is done, and what may be committed.

What Faust does with offsets is right as long as every message that is fetched reaches its agent, and every topic stays
the same. It loses messages where they do not:

- A rebalance that follows another one at once may go back to the committed offsets while messages flow. What is fetched
  just then may be cleared from the agent's queue, and is not fetched again.
- One message that is missing before those that are done, or a gap in what was read, counts as done.
- What was read before a rebalance and is done after it counts as done in the new assignment.
- A commit that waited for a broker through a rebalance is made after it, and is remembered even where it failed.
- A committed offset is waited for wherever it lies; every message before it is dropped. Of a topic that was made anew
  after a broker had lost its disk, that would be messages nobody has read.

Here nothing is read while the consumer goes back, and no commit goes past a message that was fetched and is not done.
Were one lost all the same, the next one that is done ends the process, and its partition is read again.
"""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP, Message

from streams.runtime.reading import Reading

log = logging.getLogger(__name__)

#: Seconds for which a fetch waits for records, and so a rebalance for a fetch.
_FETCH_SECONDS = 0.2

_committing_in: ContextVar[int] = ContextVar("committing_in")


class Consumer(FaustConsumer):
    """Counts as done, and commits, only what was read since its last assignment: all else is read again."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin before the first assignment."""
        super().__init__(*arguments, **named)
        self._assignment_number = 0
        self._sought: Mapping[TP, int | None] = {}
        self._read_in: WeakKeyDictionary[Message, int] = WeakKeyDictionary()
        self._readings: defaultdict[TP, Reading] = defaultdict(Reading)
        self._seek_or_fetch = asyncio.Lock()

    async def _getmany(self, active_partitions: set[TP] | None, timeout: float) -> Any:  # noqa: ASYNC109 - as Faust calls it
        async with self._seek_or_fetch:
            found = await super()._getmany(active_partitions, min(timeout, _FETCH_SECONDS))
            for tp, records in found.items():
                self._readings[TP(tp.topic, tp.partition)].fetched(record.offset for record in records)
            return found

    def _to_message(self, tp: TP, record: Any) -> Any:
        message = super()._to_message(tp, record)
        self._read_in[message] = self._assignment_number
        return message

    def ack(self, message: Message) -> bool:
        """Count a message as done, unless its partition was taken away since: then it comes again.

        Raises:
            LostOnTheWay: If one before it is not done.
        """
        if self._read_in.get(message) != self._assignment_number:
            return False
        self._readings[message.tp].done(message.offset)
        return super().ack(message)

    def on_buffer_full(self, tp: TP) -> None:
        """Go on reading: where the agent's queue is full, whoever fills it waits, and that is enough.

        Faust stops reading a partition instead, until the queue is empty, and then looks once a second whether it may
        go on: of what a fast agent did in a long backlog, a fifth of the time was spent in waiting for that.
        """

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was read."""
        self._forget()
        await super().on_partitions_revoked(revoked)

    async def perform_seek(self) -> None:
        """Go back to where the group stopped, while nothing is read. Whoever asks for it resumes the flow."""
        self.stop_flow()
        async with self._seek_or_fetch:
            await super().perform_seek()

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Seek where the group stopped; where there is no such place, the beginning, and commit that."""
        self._forget()
        committed = await super().seek_to_committed()
        ends = await self._thread.highwaters(*committed)
        anew = {tp: 0 for tp, offset in committed.items() if offset is not None and offset > ends[tp]}
        if anew:
            places = ", ".join(f"{tp.topic}[{tp.partition}]" for tp in anew)
            log.warning("%s: made anew since this group read there, and read from the beginning", places)
            await self._thread.commit(anew)
        found = {**committed, **anew}
        for tp in (tp for tp, offset in found.items() if not offset):
            # Faust leaves these where they are, which may be behind what was fetched for an assignment before.
            self._thread.seek(tp, 0)
        self._sought = {tp: offset or None for tp, offset in found.items()}
        return found

    def _forget(self) -> None:
        self._assignment_number += 1
        self._readings.clear()

    async def _add_gap(self, tp: TP, offset_from: int, offset_to: int) -> None:
        """Count nothing as done that was not: what Kafka never gave anybody is no gap among what was fetched."""

    def _new_offset(self, tp: TP) -> int | None:
        self._acked[tp].clear()
        self._acked_index[tp].clear()
        return self._readings[tp].reached

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        committing = list(tps)
        number, before = self._assignment_number, {tp: self._committed_offset[tp] for tp in committing}
        _committing_in.set(number)
        done = await super()._commit_tps(committing, start_new_transaction)
        if number != self._assignment_number:
            self._committed_offset.update({tp: self._sought.get(tp) for tp in committing})
        elif not done:
            self._committed_offset.update(before)  # Faust remembers what it wanted to commit; so it is tried again
        return done

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, unless the partitions were taken away since it was known what to commit."""
        return _committing_in.get() == self._assignment_number and await super()._commit(offsets)
