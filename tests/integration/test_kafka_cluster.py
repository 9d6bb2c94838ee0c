"""Three real Kafka nodes: what was acknowledged outlives any one of them, and nothing is acknowledged by one alone."""

import asyncio
import shutil
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import KafkaError

from streams.embedded import kafka_topics, parts, state
from streams.embedded.parts import Parts
from streams.errors import BadInput, DependencyUnavailable
from streams.settings import Settings
from streams.topics import ALL, SAMPLES_ACCEPTED
from tests.tiny_model import lay_models

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.usefixtures("embedded_parts_installed")]

NODES = ("kafka-1", "kafka-2", "kafka-3")
PLACE = TopicPartition(SAMPLES_ACCEPTED.name, 0)
#: A segment as small as Kafka allows, so that the tests see a property of theirs arrive.
SMALL = {"log.segment.bytes": "1048576"}
#: What has not come by then never will.
PATIENCE_SECONDS = 90.0


@dataclass(frozen=True)
class Place:
    """Which nodes have a partition."""

    leader: str
    in_sync: list[str]


@dataclass
class Cluster:
    """Parts with three nodes, and hands that kill these."""

    settings: Settings
    models: Path
    _stack: AsyncExitStack = field(default_factory=AsyncExitStack)

    async def up(self) -> None:
        context = parts.start(self.settings, models=self.models, kafka_nodes=3, kafka_properties=SMALL)
        self.parts: Parts = await self._stack.enter_async_context(context)

    async def down(self) -> None:
        await self._stack.aclose()

    @property
    def bootstrap(self) -> str:
        return self.parts.running.kafka

    def address(self, name: str) -> str:
        return self.bootstrap.split(",")[NODES.index(name)]

    def kill(self, name: str) -> None:
        (server,) = psutil.Process(self.parts.running.children[name]).children()
        server.kill()
        server.wait(10)

    async def place(self) -> Place:
        """Return who has the partition that these tests write to."""
        admin = AIOKafkaAdminClient(bootstrap_servers=self.bootstrap)
        try:
            await admin.start()
            (topic,) = await admin.describe_topics([PLACE.topic])
        finally:
            await admin.close()
        (part,) = [part for part in topic["partitions"] if part["partition"] == PLACE.partition]
        return Place(NODES[part["leader"] - 1], [NODES[node - 1] for node in part["isr"]])

    @asynccontextmanager
    async def publisher(self, *, hasty: bool = False) -> AsyncIterator[Callable[[bytes], Awaitable[None]]]:
        """Yield what returns when the brokers have acknowledged a record.

        Args:
            hasty: Whether it gives up after some seconds, with a KafkaError; the patient one, which is what Likeness
                has everywhere, tries again for as long as nobody answers.
        """
        producer = AIOKafkaProducer(
            bootstrap_servers=self.bootstrap,
            acks="all",
            enable_idempotence=not hasty,
            request_timeout_ms=5_000 if hasty else 40_000,
        )

        async def publish(value: bytes) -> None:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await producer.send_and_wait(PLACE.topic, value, partition=PLACE.partition)

        await producer.start()
        try:
            yield publish
        finally:
            await producer.stop()

    async def publish(self, value: bytes) -> None:
        """Return when the brokers have acknowledged the record."""
        async with self.publisher() as publish:
            await publish(value)

    async def values(self) -> list[bytes | None]:
        """Return what can be read, in order."""
        consumer = AIOKafkaConsumer(bootstrap_servers=self.bootstrap, auto_offset_reset="earliest")
        await consumer.start()
        found: list[bytes | None] = []
        try:
            end = (await consumer.end_offsets([PLACE]))[PLACE]
            consumer.assign([PLACE])
            async with asyncio.timeout(PATIENCE_SECONDS):
                while await consumer.position(PLACE) < end:
                    found += [record.value for record in (await consumer.getmany(timeout_ms=500)).get(PLACE, ())]
        finally:
            await consumer.stop()
        return found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def cluster(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Cluster]:
    """Three healthy nodes; whoever kills one brings it back."""
    folder = tmp_path_factory.mktemp("cluster")
    built = Cluster(Settings(data_dir=folder / "data"), lay_models(folder / "models"))
    await built.up()
    yield built
    await built.down()


async def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert time.monotonic() < deadline, "nothing has come of it"
        await asyncio.sleep(0.05)


async def test_every_topic_is_kept_by_three_nodes_and_two_must_have_a_record(cluster):
    admin = AIOKafkaAdminClient(bootstrap_servers=cluster.bootstrap)
    resources = [ConfigResource(ConfigResourceType.TOPIC, topic.name) for topic in ALL]
    try:
        await admin.start()
        described = await admin.describe_topics([topic.name for topic in ALL])
        answers = await admin.describe_configs(resources)
    finally:
        await admin.close()
    assert {len(part["replicas"]) for topic in described for part in topic["partitions"]} == {3}
    told = [{entry[0]: entry[1] for entry in one[4]} for answer in answers for one in answer.resources]
    assert len(told) == len(ALL)
    assert {one["min.insync.replicas"] for one in told} == {"2"}
    assert {one["unclean.leader.election.enable"] for one in told} == {"false"}
    assert {one["segment.bytes"] for one in told} == {SMALL["log.segment.bytes"]}


async def test_what_was_acknowledged_outlives_its_leader_and_that_ones_disk_and_publishing_goes_on(cluster):
    await cluster.publish(b"before the kill")
    name = (await cluster.place()).leader
    cluster.kill(name)
    await cluster.publish(b"after the kill")
    assert (await cluster.place()).leader != name
    assert (await cluster.values())[-2:] == [b"before the kill", b"after the kill"]
    shutil.rmtree(cluster.settings.data_dir / "kafka" / name.replace("kafka", "node"))
    await cluster.parts.start_again(name)
    async with asyncio.timeout(PATIENCE_SECONDS):
        while name not in (await cluster.place()).in_sync:  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.1)
    assert state.read(cluster.settings.data_dir) == cluster.parts.running


async def test_a_node_that_dies_is_brought_back_by_whoever_watches_the_parts(cluster, caplog):
    before = cluster.parts.running.children
    watch = asyncio.create_task(cluster.parts.watch())
    try:
        cluster.kill("kafka-2")
        await until(lambda: watch.done() or cluster.parts.running.children["kafka-2"] != before["kafka-2"])
        assert not watch.done()
    finally:
        watch.cancel()
    assert "Kafka (node 2) ended with status 137; it is started again in 1 s" in caplog.text
    await kafka_topics.answers(cluster.address("kafka-2"))
    after = cluster.parts.running.children
    assert {name for name in before if after[name] != before[name]} == {"kafka-2"}


async def test_a_node_alone_acknowledges_nothing_until_another_is_back(cluster):
    await cluster.publish(b"with three")
    alone = (await cluster.place()).leader
    one, other = dead = [name for name in NODES if name != alone]
    async with cluster.publisher() as publish, cluster.publisher(hasty=True) as publish_hastily:
        for name in dead:
            cluster.kill(name)
        with pytest.raises(KafkaError):
            await publish_hastily(b"with one")
        waiting = asyncio.create_task(publish(b"with two"))
        await cluster.parts.start_again(one)
        await waiting
    await cluster.parts.start_again(other)
    values = await cluster.values()
    assert values[-1] == b"with two"
    assert b"with three" in values


async def test_a_restart_of_all_three_at_other_ports_keeps_what_was_published(cluster):
    await cluster.publish(b"kept")
    values, ports = await cluster.values(), cluster.bootstrap
    await cluster.down()
    with pytest.raises(DependencyUnavailable):
        await kafka_topics.answers(ports, timeout_seconds=5)
    with pytest.raises(BadInput, match="holds the data of 3 Kafka nodes, asked for was 1 Kafka node"):
        async with parts.start(cluster.settings, models=cluster.models):
            pass
    await cluster.up()
    assert set(cluster.bootstrap.split(",")).isdisjoint(ports.split(","))
    assert await cluster.values() == values
    assert values[-1] == b"kept"


async def test_only_a_part_that_is_run_here_can_be_started_again(cluster):
    with pytest.raises(BadInput, match=r"one of .*kafka-1.*; got 'kafka'"):
        await cluster.parts.start_again("kafka")
