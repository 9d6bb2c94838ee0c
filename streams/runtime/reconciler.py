"""The reconciler: what has no end after a while is driven again, and what was decided is published again.

Workers lose nothing that a broker keeps. The reconciler is for what no broker brings any more: a lost disk, a topic
that was made anew, records that were older than their topic keeps them. It works from the ledger alone.

It never overtakes a worker. Whatever a worker waits for, it does not commit; so a row counts as lost only where it is
older than everything that its workers have yet to commit. That takes the place of their breakers, which lie in other
processes. Driving again is harmless even so: the steps return what the ledger holds.
"""

import asyncio
import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import NoReturn

from streams import topics
from streams.core.announcement import announcement
from streams.core.ledger import Registration
from streams.core.reconcile import Name, due
from streams.ports import Clock, ConsentRegister, Ledger
from streams.runtime.backlog import Backlog
from streams.runtime.metrics import Metrics
from streams.runtime.patience import Patience
from streams.runtime.roles import ROLES
from streams.settings import Settings

log = logging.getLogger(__name__)

#: Rows in memory, and records in one delivery.
PAGE = 500
#: No verdict is published again that its topic would have dropped.
_RETENTION = timedelta(milliseconds=max(topic.retention_ms for topic in topics.ENDS))


class Reconciler:
    """Looks over the ledger now and then. Two of them do no harm to each other."""

    def __init__(
        self,
        settings: Settings,
        ledger: Ledger,
        now: Clock,
        metrics: Metrics | None = None,
        consent: ConsentRegister | None = None,
    ) -> None:
        """Take settings with an address of Kafka, an opened ledger, and the register whose entries are published."""
        self._settings, self._ledger, self._now = settings, ledger, now
        self._metrics, self._consent = metrics or Metrics(), consent
        self._driven: dict[Name, datetime] = {}
        self._helpless = 0

    async def run(self, patience: Patience) -> NoReturn:
        """Look again and again, until cancelled; what is down is waited for."""
        while True:
            await patience(self.look)
            await asyncio.sleep(self._settings.reconcile_every_seconds)

    async def look(self) -> None:
        """Look over the ledger once.

        Raises:
            DependencyUnavailable: If Kafka or the ledger does not answer.
        """
        now = self._now()
        left_alone = now - timedelta(seconds=self._settings.reconcile_after_seconds)
        kafka, timeout = self._settings.address("kafka"), self._settings.call_timeout_seconds
        async with Backlog(kafka, timeout_seconds=timeout) as backlog:
            forgotten = await self._ledger.delivers_to(await backlog.cluster(), newer_than=now - _RETENTION)
            if forgotten:
                log.warning("Kafka is another cluster than before: %d ends are published again", forgotten)
            await self._publish(backlog, left_alone)
            # Asked before the rows are: what is passed now, and ends meanwhile, is no longer in flight then.
            await self._drive(backlog, min([left_alone, *await self._waiting(backlog)]), now)
            await self._announce(backlog)

    async def _publish(self, backlog: Backlog, before: datetime) -> None:
        """Publish what was decided and never noted as delivered."""
        while outcomes := await self._ledger.unpublished(before, PAGE):
            await backlog.deliver(outcome.record for outcome in outcomes)
            await self._ledger.published({outcome.sample_id: outcome.record.time for outcome in outcomes})
            self._metrics.published_again(len(outcomes))
            log.warning("published %d ends that were never noted as delivered", len(outcomes))

    async def _waiting(self, backlog: Backlog) -> list[datetime]:
        found = [
            await backlog.oldest_waiting(role.group(self._settings.group), [topic.name for topic in role.sources])
            for role in ROLES.values()
        ]
        return [time for time in found if time is not None]

    async def _drive(self, backlog: Backlog, before: datetime, now: datetime) -> None:
        """Publish again the messages that ask for rows without an end, all those registered ``before``."""
        # A message that was driven later than this waits itself now; one that was driven earlier holds nothing back.
        self._driven = {name: at for name, at in self._driven.items() if at >= before}
        helpless, last = 0, None
        while rows := await self._ledger.in_flight(before, PAGE, after=last):
            found = due(rows, self._driven, before=before)
            await backlog.deliver(one.record(now) for one in found.again)
            self._driven |= {one.name: now for one in found.again}
            self._metrics.driven_again(len(found.again))
            helpless, last = helpless + found.helpless, rows[-1]
            self._tell(rows, len(found.again))
        if helpless > self._helpless:
            log.warning("%d samples have no end, and the ledger does not say what asked for them", helpless)
        self._helpless = helpless
        self._metrics.looked(helpless=helpless)

    async def _announce(self, backlog: Backlog) -> None:
        """Publish what was entered into the consent register and not published by whoever entered it."""
        while self._consent is not None and (entries := await self._consent.unannounced(PAGE)):
            await backlog.deliver(announcement(entry, self._now()) for entry in entries)
            await self._consent.announced([entry.number for entry in entries])

    @staticmethod
    def _tell(rows: Sequence[Registration], messages: int) -> None:
        if messages:
            log.warning("%d samples without an end since %s: %d messages sent again", len(rows), rows[0].at, messages)
