"""The watch over commits, on a real broker: it sees what is committed too early, and outlives its outages."""

import asyncio
import json
import os
import shutil
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from aiokafka import AIOKafkaConsumer, TopicPartition

from streams import topics
from streams.adapters.ledger.database import Database
from streams.client import Publisher
from streams.embedded import kafka, kafka_jars, kafka_topics
from streams.embedded.loopback import until_it_answers
from streams.errors import PartFailed, Unready
from streams.processes.child import Child
from streams.settings import Settings
from tests.absent import absent

CHECKOUT = Path(__file__).parents[2]
PATIENCE_SECONDS = 120.0


class Broker:
    """A broker that dies and comes back at the same address."""

    def __init__(self, folder: Path) -> None:
        (self._node,) = kafka.plan(folder)
        self._folder = folder
        self.address = self._node.address

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        node = self._node
        try:
            jars = await asyncio.to_thread(kafka_jars.fetch, Settings().cache_dir, print, threading.Event())
            await asyncio.to_thread(kafka.prepare, node, [node], jars, threading.Event())
        except (PartFailed, Unready) as error:
            absent(str(error))
        child = kafka.start(node, jars, self._folder / "kafka.log")
        try:
            answers = partial(kafka_topics.answers, node.address)
            await until_it_answers(child, answers, [node.port, node.controller_port], kafka.REMEDY, 120)
            await kafka_topics.create(node.address)
            yield
        finally:
            await asyncio.to_thread(child.stop, 0.0)  # killed: it gives nothing back

    def wipe(self) -> None:
        shutil.rmtree(self._folder / "kafka")

    async def commit(self, count: int) -> None:
        """Publish messages that nobody processes, and commit past all of them as a worker would that lost them."""
        async with Publisher(self.address) as publisher:
            for _ in range(count):
                await publisher.raw(topics.TRAINING_SAMPLES.name, b"not json", b"the same partition")
        consumer = AIOKafkaConsumer(bootstrap_servers=self.address, group_id="watched-judge", enable_auto_commit=False)
        await consumer.start()
        try:
            places = [TopicPartition(topics.TRAINING_SAMPLES.name, n) for n in range(topics.PARTITIONS)]
            consumer.assign(places)
            ends = await consumer.end_offsets(places)
            await consumer.commit({place: end for place, end in ends.items() if end})
        finally:
            await consumer.stop()


def seen(out: Path, kind: str) -> list[dict[str, Any]]:
    lines = out.read_text().splitlines() if out.exists() else []
    return [line for line in map(json.loads, lines) if line["kind"] == kind]


async def until(watch: Child, out: Path, **counts: int) -> None:
    """Wait until the watch has written so many lines of each kind."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(len(seen(out, kind)) < count for kind, count in counts.items()):
        assert time.monotonic() < deadline, f"expected {counts} in {out}"
        assert watch.poll() is None, watch.log_tail()
        await asyncio.sleep(0.05)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[str]:
    database = Database(f"sqlite:///{tmp_path}/ledger.db")
    await database.open()
    yield f"sqlite:///{tmp_path}/ledger.db"
    await database.close()


async def test_a_commit_of_what_was_never_done_is_seen_and_so_are_later_ones_after_an_outage_and_a_wiped_disk(
    tmp_path, ledger
):
    out, broker = tmp_path / "commits.jsonl", Broker(tmp_path)
    argv = [sys.executable, "-m", "tests.faults.checker.commits", "--kafka", broker.address, "--ledger", ledger]
    argv += ["--group", "watched", "--out", str(out)]
    watch = Child.start("watch", argv, os.environ | {"PYTHONPATH": str(CHECKOUT)}, tmp_path / "watch.log")
    try:
        async with broker.running():
            await broker.commit(2)
            await until(watch, out, committed=1, early=2)
        await until(watch, out, away=1 + len(seen(out, "away")))
        async with broker.running():
            await broker.commit(1)
            await until(watch, out, committed=2, early=3)
        broker.wipe()
        async with broker.running():
            await broker.commit(1)
            await until(watch, out, wiped=1, committed=3, early=4)
            assert await asyncio.to_thread(watch.stop) == 0
    finally:
        await asyncio.to_thread(watch.stop)
    assert [line["offset"] for line in seen(out, "committed")] == [2, 3, 1]
    assert all("names no sample" in line["why"] for line in seen(out, "early"))
