"""Faust's consumer, for brokers that lose their disks while workers live.

Two things that Faust does are harmless as long as a topic stays the same, and lose messages where it was made anew.
What was read before a rebalance and is done after it counts as done in the new assignment: its offset, that of a
message in the topic that is gone, would be committed in the new one. And a committed offset is waited for wherever it
lies: every message before it would be dropped.
"""

import logging
from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP, Message

log = logging.getLogger(__name__)


class Consumer(FaustConsumer):
    """Counts as done only what was read since its last assignment: all else is read again."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        """Begin before the first assignment."""
        super().__init__(*arguments, **named)
        self._assignment_number = 0
        self._read_in: WeakKeyDictionary[Message, int] = WeakKeyDictionary()

    def _to_message(self, tp: TP, record: Any) -> Any:
        message = super()._to_message(tp, record)
        self._read_in[message] = self._assignment_number
        return message

    def ack(self, message: Message) -> bool:
        """Count a message as done, unless its partition was taken away since: then it comes again."""
        return self._read_in.get(message) == self._assignment_number and super().ack(message)

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
        if not anew:
            return committed
        places = ", ".join(f"{tp.topic}[{tp.partition}]" for tp in anew)
        log.warning("%s: made anew since this group read there, and read from the beginning", places)
        for tp in anew:
            self._thread.seek(tp, 0)
        await self._thread.commit(anew)
        return {**committed, **anew}
