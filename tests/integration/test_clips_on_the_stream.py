"""Clips on the whole road: Kafka, the ledger and Milvus are real, and stand-ins see. The monitor dies in mid-work."""

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from streams import topics
from streams.adapters.ledger.clips.shown import Shown, shown
from streams.adapters.ledger.database import Database
from streams.client import Publisher
from streams.kafka.readers import follow
from streams.processes.child import Child
from streams.testing.images import picture, png
from streams.testing.milvus_server import MilvusServer

HERE = Path(__file__).parent
ANNA, BESIDE = np.eye(8)[:2]
FRAMES = 12
#: Frames of somebody else, who resembles anna enough to pass one by one.
APART = range(5, 7)
SECONDS = 120


@pytest.fixture
def milvus(tmp_path: Path) -> Iterator[MilvusServer]:
    """A server of this test's own: others may have an embedding space of the same name."""
    (tmp_path / "milvus").mkdir()
    server = MilvusServer.lite(tmp_path / "milvus")
    server.start()
    yield server
    server.stop()


class Road:
    """Parts at their addresses, workers that are started, and frames that are published."""

    def __init__(self, kafka: str, milvus: str, folder: Path) -> None:
        self.kafka, self.folder = kafka, folder
        self.ledger = f"sqlite:///{folder}/ledger.db"
        self.env = {
            "LIKENESS_KAFKA": kafka,
            "LIKENESS_LEDGER": self.ledger,
            "LIKENESS_MILVUS": milvus,
            "LIKENESS_IMAGES": str(folder / "images"),
            "LIKENESS_DATA_DIR": str(folder),
            "LIKENESS_GROUP": folder.name,
            "LIKENESS_BATCH_SIZE": "4",
            "LIKENESS_SESSION_TIMEOUT_SECONDS": "6",
            "LIKENESS_CLIP_QUIET_SECONDS": "2",
        }

    @contextmanager
    def worker(self, *argv: str) -> Iterator[Child]:
        name = argv[0].removesuffix(".py")
        command = [sys.executable, str(HERE / argv[0]), *argv[1:]]
        child = Child.start(name, command, {**os.environ, **self.env}, self.folder / f"{name}.log")
        try:
            yield child
        finally:
            child.stop()

    async def publish(self, clip_id: str | None, indices: range, *, frames: int | None = None, step: int = 1) -> None:
        async with Publisher(self.kafka) as publisher:
            for index in indices:
                shows = 0.66 * ANNA + 0.75 * BESIDE if index in APART else ANNA
                place = {} if clip_id is None else {"clip_id": clip_id, "frame_index": index, "frames": frames}
                await publisher.training_sample(
                    run_id="run",
                    step=step,
                    index=index,
                    identity="anna",
                    model="m",
                    encoded=png(picture(shows, side=100 + 2 * (index % 2))),
                    **place,
                )

    async def clips(self) -> dict[str, Shown]:
        database = Database(self.ledger)
        try:
            await database.open()
            return {one.clip.clip_id: one for one in await shown(database)}
        finally:
            await database.close()

    async def told(self, clip_id: str) -> dict[str, Any]:
        """Return the first verdict on a clip that is on the topic."""
        async with (
            asyncio.timeout(SECONDS),
            aclosing(follow(self.kafka, topics.CLIPS_JUDGED.name, from_beginning=True)) as found,
        ):
            async for record in found:
                said = json.loads(record.value)
                if said["clip_id"] == clip_id:
                    return said
        raise AssertionError(f"no verdict on {clip_id}")


@pytest.fixture
def road(kafka_with_topics: str, milvus: MilvusServer, tmp_path: Path) -> Road:
    return Road(kafka_with_topics, milvus.uri, tmp_path)


async def test_frames_that_pass_one_by_one_are_a_clip_that_is_flagged_though_the_monitor_is_killed(road: Road):
    with road.worker("stand_in_worker.py", "judge", "works") as judge:
        with road.worker("stand_in_monitor.py") as first:
            await road.publish("c-1", range(FRAMES - 1), frames=FRAMES)
            deadline = time.monotonic() + SECONDS
            while (held := (await road.clips()).get("c-1")) is None or held.samples < 4:
                assert time.monotonic() < deadline, first.log_tail() + judge.log_tail()
                await asyncio.sleep(0.05)
            os.kill(first.command_pid or 0, signal.SIGKILL)
        await road.publish("c-1", range(FRAMES - 1, FRAMES), frames=FRAMES)
        with road.worker("stand_in_monitor.py"):
            verdict = await road.told("c-1")

            assert (verdict["decision"], verdict["flagged"], verdict["revision"]) == ("flagged", 0, 1)
            assert (verdict["apart"], verdict["missing"]) == ([[APART[0], APART[-1]]], [])
            assert (verdict["frames"], verdict["expected"], verdict["lowest"]) == (
                FRAMES,
                FRAMES,
                pytest.approx(0.66, abs=0.01),
            )
            assert verdict["movement"]["mouth-width"]["step"] == 0.02

            # Nobody says how many frames this one has: it is judged once the stream has gone on without it.
            await road.publish("c-2", range(4), step=2)
            telling = asyncio.create_task(road.told("c-2"))
            step = 3
            while not telling.done():
                await road.publish(None, range(1), step=step)
                step += 1
                await asyncio.wait([telling], timeout=0.3)
            quiet = await telling
            assert (quiet["decision"], quiet["frames"], quiet.get("expected")) == ("accepted", 4, None)
