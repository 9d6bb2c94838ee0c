"""One mutant's own road: its topics, its ledger, its group, its workers, and what may be done to them."""

import asyncio
import json
import os
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from sqlalchemy import make_url

from streams import topics
from streams.processes.child import Child
from tests.faults.checker.check import check
from tests.faults.manifest import Manifest
from tests.faults.mutations.worker import AT_THE_GATE, OPEN_THE_GATE
from tests.faults.road.orders import Desk, Order

#: Two judgements of one sample differ: what the first policy accepts, the second one flags.
LENIENT, STRICT = 0.60, 0.95

#: Below the broker's usual least value, which is 6 s: a dead worker's partitions come back sooner.
_SESSION_SECONDS = 3.0

#: Several batches for each agent, and more than its stream holds while it waits.
BATCH, SAMPLES = 4, 64

#: A road on which nothing has happened for so many seconds has come to rest, however little is done.
IDLE_SECONDS = 15.0
_PATIENCE_SECONDS = 90.0
_LOOK_SECONDS = 0.05

#: Modules of the tests are found from wherever the run was started.
_CHECKOUT = {"PYTHONPATH": str(Path(__file__).parents[3])}


class Stuck(Exception):
    """A scenario does not come to its end: what it should have shown is not known."""


@dataclass
class Trial:
    """One mutant's own road: what was asked, and the workers that are at it."""

    mutant: str
    """``none`` is the worker as it is shipped."""
    folder: Path
    manifest: Manifest
    started: int = field(default=0, init=False)
    _commits_seen: int = field(default=0, init=False)

    # -- workers ------------------------------------------------------------------------------------------------------

    @contextmanager
    def worker(self, similarity: float = LENIENT, trouble: str = "works") -> Iterator[Child]:
        """Run a worker until left; asked to stop then, if it still runs."""
        self.started += 1
        own = {
            "LIKENESS_KAFKA": self.manifest.kafka,
            "LIKENESS_MILVUS": self.manifest.milvus,
            "LIKENESS_LEDGER": self.manifest.ledger,
            "LIKENESS_IMAGES": self.manifest.images,
            "LIKENESS_DATA_DIR": str(self.folder),
            "LIKENESS_GROUP": self.manifest.group,
            "LIKENESS_BATCH_SIZE": str(BATCH),
            "LIKENESS_SESSION_TIMEOUT_SECONDS": str(_SESSION_SECONDS),
        }
        told = [str(self.folder), str(similarity), trouble]
        argv = [
            sys.executable,
            "-m",
            "tests.faults.mutations.mutants",
            self.mutant,
            "tests.faults.mutations.worker",
            *told,
        ]
        child = self._child(f"worker-{self.started}", argv, own)
        try:
            yield child
        finally:
            child.stop()

    @contextmanager
    def watched(self) -> Iterator[None]:
        """Have another process watch what is committed."""
        argv = [sys.executable, "-m", "tests.faults.checker.commits", "--kafka", self.manifest.kafka]
        argv += ["--ledger", self.manifest.ledger, "--group", self.manifest.group, "--out", str(self.commits)]
        child = self._child("watch", argv, {})
        try:
            yield
        finally:
            child.stop()

    def _child(self, name: str, argv: Sequence[str], env: dict[str, str]) -> Child:
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
        return Child.start(name, argv, inherited | _CHECKOUT | env, self.folder / f"{name}.log", grace=5.0)

    def order_death(self, point: str) -> None:
        """Have the first worker that passes a point die there."""
        Desk(self.folder / "orders").give(Order("judge", point))

    def at_the_gate(self) -> bool:
        """Whether a worker stands there with its first batch."""
        return (self.folder / AT_THE_GATE).exists()

    def open_the_gate(self) -> None:
        """Let it go on."""
        (self.folder / OPEN_THE_GATE).touch()

    # -- what is known ------------------------------------------------------------------------------------------------

    @property
    def commits(self) -> Path:
        """What the watch writes."""
        return self.folder / "commits.jsonl"

    def committed(self) -> int:
        """Return how many messages count as done, as the watch saw it."""
        last: dict[int, int] = {}
        text = self.commits.read_text() if self.commits.exists() else ""
        for line in text[: text.rfind("\n") + 1].splitlines():
            seen = json.loads(line)
            if seen["kind"] == "committed" and seen["topic"] == topics.TRAINING_SAMPLES.name:
                last[seen["partition"]] = seen["offset"]
        return sum(last.values())

    def ended(self) -> int:
        """Return how many samples have an end that the ledger calls delivered."""
        path = make_url(self.manifest.ledger).database
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=10)) as connection:
            (count,) = connection.execute("SELECT count(published_at) FROM sample").fetchone()
        return int(count)

    def settled(self) -> bool:
        """Whether all samples have ended, or all messages count as done: nothing more will come."""
        return self.ended() >= SAMPLES or self.committed() >= SAMPLES

    async def until(self, holds: Callable[[], bool], seconds: float = _PATIENCE_SECONDS) -> None:
        """Wait until this holds. Raises Stuck."""
        deadline = time.monotonic() + seconds
        while not holds():
            if time.monotonic() > deadline:
                raise Stuck(f"nothing has come of it in {seconds:g} s; see the logs in {self.folder}")
            await asyncio.sleep(_LOOK_SECONDS)

    async def for_seconds(self, seconds: float, unless: Callable[[], bool]) -> None:
        """Let a fault last so long; nothing is waited for any more once this holds."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline and not unless():  # noqa: ASYNC110 - processes are looked at
            await asyncio.sleep(_LOOK_SECONDS)

    async def come_to_rest(self) -> None:
        """Wait until nothing more will come, or nothing has come for long. A worker that starts has longer."""
        seen, since, patience = (self.ended(), self.committed()), time.monotonic(), _PATIENCE_SECONDS
        while not self.settled() and time.monotonic() - since < patience:
            now = (self.ended(), self.committed())
            if now != seen:
                seen, since, patience = now, time.monotonic(), IDLE_SECONDS
            await asyncio.sleep(_LOOK_SECONDS)

    # -- what is done to it -------------------------------------------------------------------------------------------

    @contextmanager
    def without_images(self) -> Iterator[None]:
        """Take the image store away, and bring it back."""
        images = Path(self.manifest.images)
        away = images.rename(images.with_name("away"))
        try:
            yield
        finally:
            away.rename(images)

    @asynccontextmanager
    async def refusing(self) -> AsyncIterator[None]:
        """Have the broker refuse every verdict for its size."""
        await self._limit(100)
        try:
            yield
        finally:
            await self._limit(1_000_000)

    async def _limit(self, largest: int) -> None:
        admin = AIOKafkaAdminClient(bootstrap_servers=self.manifest.kafka)
        try:
            await admin.start()
            for topic in (topics.SAMPLES_ACCEPTED, topics.SAMPLES_FLAGGED):
                resource = ConfigResource(ConfigResourceType.TOPIC, topic.name, {"max.message.bytes": str(largest)})
                await admin.alter_configs([resource])
        finally:
            await admin.close()

    async def check(self) -> dict[str, int]:
        """Have the checker look; return how many samples there are of each anomaly.

        Raises:
            Stuck: If it did not look at every sample.
        """
        self.manifest.write(self.folder / "manifest.json")  # for whoever wants to look again
        result = await check(self.manifest, self.commits)
        (self.folder / "check.json").write_text(json.dumps(result.as_dict()))
        if result.samples != SAMPLES:
            raise Stuck(f"expected {SAMPLES} samples, the checker knows of {result.samples}")
        return {kind: count for kind, count in result.findings.counts().items() if count}
