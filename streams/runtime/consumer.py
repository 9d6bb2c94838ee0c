"""Faust's consumer, for brokers that lose their disks while workers live.

What Faust does with offsets is harmless as long as a topic stays the same, and loses messages where it was made anew:

- What was read before a rebalance and is done after it counts as done in the new assignment.
- A commit that waited for a broker through a rebalance is made after it, and is remembered even where it failed.
- A committed offset is waited for wherever it lies; every message before it is dropped.

So an offset of the topic that is gone would be committed in the one that has taken its name.
"""

import logging
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Any
from weakref import WeakKeyDictionary

from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP, Message

log = logging.getLogger(__name__)

_committing_in: ContextVar[int] = ContextVar("committing_in")


class Consumer(FaustConsumer):
    """Counts as done, and commits, only what was read since its last assignment: all else is read again."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin before the first assignment."""
        super().__init__(*arguments, **named)
        self._assignment_number = 0
        self._sought: Mapping[TP, int | None] = {}
        self._read_in: WeakKeyDictionary[Message, int] = WeakKeyDictionary()

    def _to_message(self, tp: TP, record: Any) -> Any:
        message = super()._to_message(tp, record)
        self._read_in[message] = self._assignment_number
        return message

    def ack(self, message: Message) -> bool:
        """Count a message as done, unless its partition was taken away since: then it comes again."""
        return self._read_in.get(message) == self._assignment_number and super().ack(message)

    def on_buffer_full(self, tp: TP) -> None:
        """Go on reading: where the agent's queue is full, whoever fills it waits, and that is enough.

        Faust stops reading a partition instead, until the queue is empty, and then looks once a second whether it may
        go on: of what a fast agent did in a long backlog, a fifth of the time was spent in waiting for that.
        """

    async def on_partitions_revoked(self, revoked: set[TP]) -> None:
        """Forget what was read."""
        self._assignment_number += 1
        await super().on_partitions_revoked(revoked)

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to where the group stopped; where there is no such place, go to the beginning and commit that."""
        self._assignment_number += 1
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

    async def _commit_tps(self, tps: Iterable[TP], start_new_transaction: bool) -> bool:
        committing = list(tps)
        number = self._assignment_number
        _committing_in.set(number)
        done = await super()._commit_tps(committing, start_new_transaction)
        if number != self._assignment_number:
            self._committed_offset.update({tp: self._sought.get(tp) for tp in committing})
        return done

    async def _commit(self, offsets: Mapping[TP, int]) -> bool:
        """Commit, unless the partitions were taken away since it was known what to commit."""
        return _committing_in.get() == self._assignment_number and await super()._commit(offsets)
