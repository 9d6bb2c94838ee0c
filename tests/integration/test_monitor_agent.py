"""The monitor on a real Kafka: its alerts and its advice are delivered, though it is killed in mid-work."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

from streams import topics
from streams.adapters.ledger.database import Database
from streams.events import SampleJudged, to_json
from streams.processes.child import Child
from streams.testing.verdicts import judged

MONITOR = Path(__file__).with_name("stand_in_monitor.py")
BEGIN = datetime(2030, 1, 1, tzinfo=UTC)


def verdicts() -> list[SampleJudged]:
    """Return 40 minutes of anna, whose similarity falls in the middle, and four steps of a training run."""
    rng = np.random.default_rng(11)
    generated = [
        judged(
            number,
            judged_at=BEGIN + timedelta(seconds=8 * number),
            similarity=round(float(0.7 + 0.05 * (rng.normal() - 3 * (number >= 150))), 4),
        )
        for number in range(300)
    ]
    trained = [
        judged(1000 + number, kind="training", source="run-1", step=number // 8, similarity=0.7) for number in range(32)
    ]
    return generated + trained


@contextmanager
def monitor(kafka: str, folder: Path, group: str) -> Iterator[Child]:
    own = {
        "LIKENESS_KAFKA": kafka,
        "LIKENESS_LEDGER": f"sqlite:///{folder}/ledger.db",
        "LIKENESS_GROUP": group,
        "LIKENESS_DATA_DIR": str(folder),
        "LIKENESS_BATCH_SIZE": "8",
        "LIKENESS_SESSION_TIMEOUT_SECONDS": "6",
        "LIKENESS_DRIFT_WINDOW_SECONDS": "60",
        "LIKENESS_DRIFT_LATENESS_SECONDS": "120",
        "LIKENESS_DRIFT_CALIBRATION": "50",
        "LIKENESS_DRIFT_CHARTS": "1",
        "LIKENESS_DRIFT_WINDOWS_BETWEEN_FALSE_ALARMS": "100",
    }
    child = Child.start("monitor", [sys.executable, str(MONITOR)], {**os.environ, **own}, folder / "monitor.log")
    try:
        yield child
    finally:
        child.stop()


async def publish(kafka: str, judgements: Sequence[SampleJudged]) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka) as producer:
        for one in judgements:
            await producer.send_and_wait(topics.SAMPLES_ACCEPTED.name, to_json(one), one.sample_id.encode())


class Reader:
    """Everything that is on the topics that the monitor writes to."""

    def __init__(self, kafka: str) -> None:
        self._kafka = kafka
        self.values: dict[str, list[bytes]] = {topics.DRIFT_ALERTS.name: [], topics.TRAINING_FEEDBACK.name: []}

    async def until(self, holds: Callable[["Reader"], bool], child: Child) -> None:
        consumer = AIOKafkaConsumer(bootstrap_servers=self._kafka, auto_offset_reset="earliest")
        await consumer.start()
        try:
            consumer.assign([TopicPartition(name, n) for name in self.values for n in range(topics.PARTITIONS)])
            deadline = time.monotonic() + 120
            while not holds(self):
                assert time.monotonic() < deadline, child.log_tail()
                assert child.poll() is None, child.log_tail()
                for found in (await consumer.getmany(timeout_ms=200)).values():
                    for record in found:
                        self.values[record.topic].append(record.value)
        finally:
            await consumer.stop()

    def alerts(self) -> list[dict[str, Any]]:
        """Return what was told of alerts, each message once."""
        return [json.loads(one) for one in dict.fromkeys(self.values[topics.DRIFT_ALERTS.name])]

    def steps(self) -> dict[int, dict[str, Any]]:
        """Return the last advice on each step."""
        found = [json.loads(one) for one in self.values[topics.TRAINING_FEEDBACK.name]]
        return {one["step"]: one for one in sorted(found, key=lambda one: one["revision"])}


async def stored(folder: Path) -> int:
    """Return how many rows the monitor has stored."""
    database = Database(f"sqlite:///{folder}/ledger.db")
    try:
        await database.open()
        count = "SELECT count(*) FROM drift_sample"
        return int(await database.transact(lambda c: c.exec_driver_sql(count).scalar()))
    finally:
        await database.close()


@pytest.fixture
def group(tmp_path: Path) -> str:
    return tmp_path.name


async def test_a_monitor_that_is_killed_tells_everything_and_nothing_differently(kafka_with_topics, tmp_path, group):
    everything = verdicts()
    await publish(kafka_with_topics, everything)
    with monitor(kafka_with_topics, tmp_path, group) as first:
        deadline = time.monotonic() + 120
        while await stored(tmp_path) < 100:
            assert time.monotonic() < deadline, first.log_tail()
            await asyncio.sleep(0.05)
        os.kill(first.command_pid or 0, signal.SIGKILL)
    reader = Reader(kafka_with_topics)
    with monitor(kafka_with_topics, tmp_path, group) as second:
        await reader.until(
            lambda seen: (
                {one["kind"] for one in seen.alerts() if one["active"]} == {"identity", "model"}
                and {step: one["complete"] for step, one in seen.steps().items()}
                == {0: True, 1: True, 2: True, 3: False}
                and {one["samples"] for one in seen.steps().values()} == {8}
            ),
            second,
        )

    assert await stored(tmp_path) == 2 * 300 + 32
    names = [(one["alert_id"], one["revision"]) for one in reader.alerts()]
    assert len(names) == len(set(names))  # of one name there is one content
    assert {one["advice"] for one in reader.steps().values()} == {"continue"}
