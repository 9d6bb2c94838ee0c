"""``python -m tests.faults.checker.commits …``: is what the workers commit really done when they commit it?

A process of its own that runs beside the workers until SIGTERM. It asks Kafka again and again how far both groups have
committed. Whenever one has gone on it holds every message in between against the ledger: by the moment at which the
commit was seen, everything that follows from the message must have been durable. The ledger notes a delivery before a
worker acknowledges, so that a later note proves a commit that came too early. What is down is waited for.
"""

import argparse
import asyncio
import json
import logging
import signal
import sys
import time
from collections.abc import AsyncIterator, Collection, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError
from sqlalchemy.exc import SQLAlchemyError

from streams import topics
from streams.kafka.foreign_records import tolerate_foreign_records
from streams.tools.audit.records import Ask, Raw, ask
from tests.faults.checker.ledger import Ledger, Row

LOOK_SECONDS = 0.2
#: Longer than that no look takes: what does not answer by then is down.
_ANSWER_SECONDS = 5.0
_POLL_MS = 100

#: Which role reads which topic on its way in.
ROLE_OF = {
    topics.GENERATION_REQUESTS.name: "generate",
    topics.GENERATION_SAMPLES.name: "judge",
    topics.TRAINING_SAMPLES.name: "judge",
}


@dataclass(frozen=True)
class Advance:
    """One group's commits of one partition between two looks: these messages count as done."""

    role: str
    place: TopicPartition
    first: int
    end: int
    """The committed offset."""
    at: int
    """When it was seen at the latest; microseconds since 1970."""


def not_done(role: str, asked: Ask, rows: Mapping[str, Row], made: Collection[str], at: int) -> str | None:
    """Return why a message cannot have been done at a moment, None where it can.

    Args:
        role: ``generate`` has done its work when samples are made, ``judge`` when they have ended.
        asked: What the message asks for.
        rows: The ledger's rows, read at or after that moment.
        made: Samples of which there is a record for the judge.
        at: The moment, in microseconds since 1970.
    """
    if _ended(rows.get(asked.own_id), at):
        return None
    if not asked.sample_ids:
        return "it names no sample, and has no dead letter that was noted as delivered by then"
    for sample_id in asked.sample_ids:
        row = rows.get(sample_id)
        handed_on = role == "generate" and row is not None and row.registered_at <= at and sample_id in made
        if not (handed_on or _ended(row, at)):
            return f"sample {sample_id} is {_state(row, at)}"
    return None


def _ended(row: Row | None, at: int) -> bool:
    return row is not None and row.published_at is not None and row.published_at <= at


def _state(row: Row | None, at: int) -> str:
    if row is None:
        return "not in the ledger"
    if row.published_at is None:
        return f"{row.state} and its end not delivered"
    return f"{row.state}, delivered {(row.published_at - at) / 1e6:.3f} s later"


class Watch:
    """Knows how far both groups were at the last look, and which messages lie behind."""

    def __init__(self, kafka: str, ledger: Ledger, group: str, out: TextIO) -> None:
        """Watch the groups with this prefix; write one JSON object a line."""
        self._kafka, self._ledger, self._group, self._out = kafka, ledger, group, out
        self._cluster: str | None = None
        self._wiped = False
        self._committed: dict[TopicPartition, int] = {}
        self._asked: dict[TopicPartition, dict[int, Ask]] = {}
        self._made: set[str] = set()
        self._open: list[Advance] = []

    async def run(self, stopping: asyncio.Event) -> None:
        """Look until told to stop, and once more then."""
        last = False
        while not last:
            try:
                async with self._connected() as (admin, consumer):
                    while not last:
                        last = stopping.is_set()
                        async with asyncio.timeout(_ANSWER_SECONDS):
                            await self._look(admin, consumer)
                        with suppress(TimeoutError):
                            await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)
            except (KafkaError, OSError, SQLAlchemyError) as error:  # a TimeoutError is an OSError
                self._write("away", why=repr(error))
                last = stopping.is_set()
                with suppress(TimeoutError):
                    await asyncio.wait_for(stopping.wait(), LOOK_SECONDS)

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[tuple[AIOKafkaAdminClient, AIOKafkaConsumer]]:
        tolerate_foreign_records()
        admin = AIOKafkaAdminClient(bootstrap_servers=self._kafka)
        consumer = AIOKafkaConsumer(
            bootstrap_servers=self._kafka, group_id=None, enable_auto_commit=False, auto_offset_reset="earliest"
        )
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                await admin.start()
                await consumer.start()
                await self._recognise(admin)
                described = await admin.describe_topics(list(ROLE_OF))
            places = [
                TopicPartition(one["topic"], part["partition"]) for one in described for part in one["partitions"]
            ]
            if {place.topic for place in places} != set(ROLE_OF):
                raise ConnectionError(
                    f"expected the topics {', '.join(ROLE_OF)}, found {len(places)} partitions of them"
                )
            consumer.assign(places)
            for place in places:
                consumer.seek(place, self._read_to(place))
            yield admin, consumer
        finally:
            await _closed(consumer.stop(), admin.close())

    async def _recognise(self, admin: AIOKafkaAdminClient) -> bool:
        """Say whether another cluster answers, and forget what was read then: other messages lie in the same places."""
        cluster = str((await admin.describe_cluster())["cluster_id"])
        another = self._cluster not in (None, cluster)
        if another:
            self._write("wiped", cluster=cluster, open=len(self._open))
            self._wiped = True
            self._committed, self._asked, self._made, self._open = {}, {}, set(), []
        self._cluster = cluster
        return another

    async def _look(self, admin: AIOKafkaAdminClient, consumer: AIOKafkaConsumer) -> None:
        held: dict[TopicPartition, int] = {}
        for role in ("generate", "judge"):
            found = await admin.list_consumer_group_offsets(f"{self._group}-{role}")
            held |= {place: one.offset for place, one in found.items() if ROLE_OF.get(place.topic) == role}
        now = time.time_ns() // 1000
        for place, offset in held.items():
            self._see(place, max(0, offset), now)
        if self._open:
            await self._read(consumer)
            early = await asyncio.to_thread(self._check)
            # Clients outlive a broker that loses its disk, and the ledger then forgets deliveries: were these its rows?
            if await self._recognise(admin):
                raise ConnectionError("another cluster has taken over during a look")
            for advance, offset, why in early:
                where = f"{advance.place.topic}[{advance.place.partition}]@{offset}"
                self._write("early", id=where, why=f"{where} was committed by {advance.role}: {why}")
            self._open = []

    def _see(self, place: TopicPartition, offset: int, now: int) -> None:
        before = self._committed.get(place, 0)
        if offset == before:
            return
        self._committed[place] = offset
        role = ROLE_OF[place.topic]
        self._write("committed", role=role, topic=place.topic, partition=place.partition, offset=offset)
        if offset > before:  # else the group was sent back, to read again
            self._open.append(Advance(role, place, before, offset, now))

    def _read_to(self, place: TopicPartition) -> int:
        return 1 + max(self._asked.get(place, {}), default=-1)

    async def _read(self, consumer: AIOKafkaConsumer) -> None:
        """Read every message on its way in up to the end of now."""
        ends = await consumer.end_offsets(list(consumer.assignment()))
        while any([await consumer.position(place) < end for place, end in ends.items()]):
            for place, records in (await consumer.getmany(timeout_ms=_POLL_MS)).items():
                for record in records:
                    raw = Raw(place.topic, place.partition, record.offset, None, record.value, (), record.timestamp)
                    asked = self._asked.setdefault(place, {})[record.offset] = ask(raw)
                    if place.topic == topics.GENERATION_SAMPLES.name:
                        self._made.update(asked.sample_ids)

    def _check(self) -> list[tuple[Advance, int, str]]:
        """Hold every message that was newly committed against the ledger. Blocks."""
        behind = [
            (advance, offset, asked)
            for advance in self._open
            for offset in range(advance.first, advance.end)
            if (asked := self._asked.get(advance.place, {}).get(offset)) is not None
        ]
        rows = self._ledger.some(key for _, _, asked in behind for key in (asked.own_id, *asked.sample_ids))
        if self._wiped:
            # Since another cluster took over, deliveries are noted anew: a decision is all that can be asked for.
            rows = {key: _as_delivered(row) for key, row in rows.items()}
        return [
            (advance, offset, why)
            for advance, offset, asked in behind
            if (why := not_done(advance.role, asked, rows, self._made, advance.at)) is not None
        ]

    def _write(self, kind: str, **fields: Any) -> None:
        self._out.write(json.dumps({"kind": kind, "time": time.time(), **fields}) + "\n")
        self._out.flush()


async def _closed(*closings: Coroutine[Any, Any, None]) -> None:
    """Close clients, each in a task: aiokafka's consumer may end in a cancellation that nobody asked for."""
    tasks = [asyncio.create_task(closing) for closing in closings]
    _, slow = await asyncio.wait(tasks, timeout=_ANSWER_SECONDS)
    for task in slow:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)  # what is broken is closed as well as it can be


def _as_delivered(row: Row) -> Row:
    return row if row.topic is None else Row(row.sample_id, row.state, row.topic, published_at=row.time_ms * 1000)


async def watch(kafka: str, ledger_url: str, group: str, out: Path) -> None:
    """Watch until SIGTERM or SIGINT."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    with Ledger(ledger_url) as ledger, out.open("a") as file:
        await Watch(kafka, ledger, group, file).run(stopping)


def main() -> int:
    """Read the arguments and watch."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.checker.commits")
    parser.add_argument("--kafka", required=True, help="bootstrap servers")
    parser.add_argument("--ledger", required=True, help="SQLAlchemy URL")
    parser.add_argument("--group", required=True, help="prefix of the consumer groups")
    parser.add_argument("--out", type=Path, required=True, help="where to append what is seen")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # under an outage it is a hundred lines a second
    asyncio.run(watch(given.kafka, given.ledger, given.group, given.out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
