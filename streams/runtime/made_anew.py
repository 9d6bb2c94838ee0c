"""Topics that were made anew: a broker has lost its disk, or somebody has deleted one.

A group's committed offset then means a message of the topic that is gone. Faust would wait for that offset to come
again and drop every message before it, and the reconciler would wait for Faust.
"""

import logging
from collections.abc import Mapping

from faust.transport.drivers.aiokafka import Consumer as FaustConsumer
from faust.types import TP

log = logging.getLogger(__name__)


class Consumer(FaustConsumer):
    """Reads a topic from its beginning where the group's offset lies beyond its end."""

    async def seek_to_committed(self) -> Mapping[TP, int]:
        """Go to where the group stopped; where there is no such place, go to the beginning and commit that."""
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
