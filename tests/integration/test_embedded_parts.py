"""The real parts: Kafka, Triton with a model of the test's own, Milvus Lite, and Milvus standalone."""

import asyncio
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path

import numpy as np
import psutil
import pytest
import tritonclient.grpc.aio as grpc_client
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from pymilvus import MilvusClient

from streams.embedded import doctor, folder, kafka, kafka_topics, milvus, parts, state, triton
from streams.embedded.loopback import until_it_answers
from streams.embedded.starting import Progress
from streams.embedded.state import Running
from streams.errors import BadInput, DependencyUnavailable, PartFailed
from streams.keepalive import GRPC_OPTIONS
from streams.settings import Settings
from streams.testing import milvus_standalone
from streams.topics import ALL, SAMPLES_ACCEPTED
from tests.absent import absent
from tests.tiny_model import lay_models

ROOT = Path(__file__).parents[2]

#: What a command that owns the parts does, with the signal handling of one.
OWNER = """
import asyncio, signal, sys
from pathlib import Path
from streams.embedded import parts
from streams.keepalive import GRPC_OPTIONS
from streams.settings import Settings

async def main():
    ended = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, ended.set)
    async with parts.start(Settings(data_dir=Path(sys.argv[1])), models=Path(sys.argv[2])):
        await ended.wait()

asyncio.run(main())
"""


pytestmark = pytest.mark.usefixtures("embedded_parts_installed")


@pytest.fixture
def models(tmp_path: Path) -> Path:
    return lay_models(tmp_path / "models")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


async def eventually(holds: Callable[[], bool], seconds: float = 90.0) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(0.05)
    return True


def family(running: Running) -> list[psutil.Process]:
    leashes = [psutil.Process(pid) for pid in running.children.values()]
    return [process for leash in leashes for process in (leash, *leash.children(recursive=True))]


def lives(process: psutil.Process) -> bool:
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def listening(processes: list[psutil.Process]) -> set[str]:
    connections = [connection for process in processes for connection in process.net_connections()]
    return {connection.laddr.ip for connection in connections if connection.status == psutil.CONN_LISTEN}


def network(pid: int) -> str:
    return os.readlink(f"/proc/{pid}/ns/net")


@asynccontextmanager
async def owned(settings: Settings, models: Path) -> AsyncIterator[tuple[subprocess.Popen[bytes], Running]]:
    """Another process owns the parts, ready; it is killed at the end, if it still runs."""
    argv = [sys.executable, "-c", OWNER, str(settings.data_dir), str(models)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    process = await asyncio.to_thread(subprocess.Popen, argv, env=environment)
    try:
        up = await eventually(lambda: state.read(settings.data_dir) is not None or process.poll() is not None)
        running = state.read(settings.data_dir)
        assert up
        assert running is not None
        yield process, running
    finally:
        process.kill()
        process.wait()
        assert await eventually(lambda: not folder.is_held(settings.data_dir))


async def publish(bootstrap: str, value: bytes) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True)
    await producer.start()
    try:
        await producer.send_and_wait(SAMPLES_ACCEPTED.name, value, partition=0)
    finally:
        await producer.stop()


async def first_record(bootstrap: str) -> bytes | None:
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    try:
        consumer.assign([TopicPartition(SAMPLES_ACCEPTED.name, 0)])
        record = await asyncio.wait_for(consumer.getone(), 30)
        return record.value
    finally:
        await consumer.stop()


@pytest.fixture
def vectors() -> Iterator[Callable[[str], MilvusClient]]:
    clients: list[MilvusClient] = []

    def connect(uri: str, token: str = "") -> MilvusClient:
        clients.append(MilvusClient(uri, token=token, timeout=30, grpc_options=GRPC_OPTIONS, dedicated=True))
        return clients[-1]

    yield connect
    for client in clients:
        client.close()


async def doubled(address: str) -> list[float]:
    async with grpc_client.InferenceServerClient(address) as client:
        given = grpc_client.InferInput("IN", [1, 2], "FP32")
        given.set_data_from_numpy(np.array([[1, 2]], np.float32))
        answer = await client.infer("double", [given], client_timeout=30)
        return [float(value) for value in answer.as_numpy("OUT")[0]]


async def test_every_part_answers_on_loopback_alone(settings: Settings, models: Path):
    said: list[Progress] = []
    async with parts.start(settings, models=models, report=said.append) as up:
        known = up.running.fill(settings)
        assert await doubled(known.triton or "") == [2.0, 4.0]
        assert await kafka_topics.create(known.kafka or "") == []  # all were created already
        await publish(known.kafka or "", b"verdict")
        assert await first_record(known.kafka or "") == b"verdict"
        assert all(report.running for report in await doctor.examine(settings))
        assert listening(family(up.running)) <= {"127.0.0.1", "::ffff:127.0.0.1"}
        assert state.read(settings.data_dir) == up.running
        with pytest.raises(BadInput, match=f"process {os.getpid()} already"):
            async with parts.start(settings, models=models):
                pass
        processes = family(up.running)
    assert {progress.part for progress in said if progress.phase == "ready"} == {"kafka", "triton", "milvus"}
    assert not any(map(lives, processes))
    assert state.read(settings.data_dir) is None


async def test_a_part_that_dies_is_noticed_and_takes_nothing_with_it(settings: Settings, models: Path):
    async with parts.start(settings, models=models) as up:
        (leash,) = [psutil.Process(up.running.children["triton"])]
        server, stub = leash.children(recursive=True)
        server.kill()
        with pytest.raises(PartFailed, match="Triton ended with status 137"):
            await asyncio.wait_for(up.watch(), 30)
        assert not lives(stub)
        await kafka_topics.answers(up.running.kafka)
        await milvus.answers(up.running.milvus)
    prefix = triton.plan(settings.data_dir, settings.cache_dir, models).shared_memory_prefix
    assert not [name for name in os.listdir("/dev/shm") if name.startswith(prefix)]  # noqa: S108


async def test_parts_that_were_killed_start_again_where_they_were_with_their_data(settings, models, vectors):
    asked: list[str] = []

    def properties(node: kafka.Node) -> dict[str, str]:
        asked.append(node.address)
        return {"log.segment.bytes": "1048576"}

    async with parts.start(settings, models=models, kafka_properties=properties) as up:
        before = up.running
        await publish(before.kafka, b"kept")
        client = vectors(before.milvus)
        await asyncio.to_thread(client.create_collection, "kept", dimension=4, metric_type="COSINE")
        for leash in before.children.values():
            psutil.Process(leash).children()[0].kill()
        await asyncio.gather(*map(up.start_again, before.children))
        assert await first_record(before.kafka) == b"kept"
        assert await doubled(before.triton) == [2.0, 4.0]
        assert await asyncio.to_thread(vectors(before.milvus).list_collections) == ["kept"]
        assert set(asked) == {before.kafka}
        assert up.running == dataclasses.replace(before, children=up.running.children) == state.read(settings.data_dir)
        assert set(before.children.values()).isdisjoint(up.running.children.values())
        assert all(map(lives, family(up.running)))
        processes = family(up.running)
    assert not any(map(lives, processes))


async def test_a_model_whose_process_dies_is_noticed_though_the_server_lives(settings: Settings, models: Path):
    async with parts.start(settings, models=models) as up:
        watch = asyncio.create_task(up.watch())
        assert await doubled(up.running.triton) == [2.0, 4.0]
        server, stub = psutil.Process(up.running.children["triton"]).children(recursive=True)
        assert not watch.done()
        stub.kill()
        with pytest.raises(PartFailed, match="Triton has lost the process of a model"):
            await asyncio.wait_for(watch, 30)
        assert lives(server)


async def test_nothing_survives_a_killed_owner_and_data_outlives_it(settings, models, vectors):
    async with owned(settings, models) as (process, running):
        await publish(running.kafka, b"kept")
        client = vectors(running.milvus)
        await asyncio.to_thread(client.create_collection, "kept", dimension=4, metric_type="COSINE")
        await asyncio.to_thread(client.upsert, "kept", [{"id": 7, "vector": [1.0, 0.0, 0.0, 0.0]}])
        processes = family(running)
        assert len(processes) == 7  # three leashes, three servers, and Triton's Python
        process.kill()
        assert await eventually(lambda: not folder.is_held(settings.data_dir))
        assert not any(map(lives, processes))
        assert state.read(settings.data_dir) is None
    async with owned(settings, models) as (process, running):
        assert await first_record(running.kafka) == b"kept"
        client = vectors(running.milvus)
        await asyncio.to_thread(client.load_collection, "kept")
        (row,) = await asyncio.to_thread(client.get, "kept", [7])
        assert row["id"] == 7
        processes = family(running)
        process.send_signal(signal.SIGTERM)
        assert await asyncio.to_thread(process.wait, 60) == 0
        assert not any(map(lives, processes))


async def test_down_ends_what_another_process_runs_and_fresh_forgets_its_data(settings, models):
    async with owned(settings, models) as (process, running):
        await publish(running.kafka, b"forgotten")
        processes = family(running)
        assert await asyncio.to_thread(state.down, settings.data_dir) is True
        assert not any(map(lives, processes))
        assert process.wait(10) == 0
    async with parts.start(settings, fresh=True, models=models) as up:
        consumer = AIOKafkaConsumer(bootstrap_servers=up.running.kafka)
        await consumer.start()
        try:
            partition = TopicPartition(SAMPLES_ACCEPTED.name, 0)
            assert await consumer.end_offsets([partition]) == {partition: 0}
            assert {topic.name for topic in ALL} <= await consumer.topics()
        finally:
            await consumer.stop()


async def test_a_model_that_does_not_load_fails_the_start_with_its_own_words_and_ends_the_others(settings, models):
    (models / "double" / "1" / "model.py").write_text("raise ValueError('weights are missing')")
    with pytest.raises(PartFailed, match=r"(?s)Triton ended with status 1 while starting.*weights are missing"):
        async with parts.start(settings, models=models):
            pass
    assert not folder.is_held(settings.data_dir)


async def test_milvus_standalone_is_reached_at_one_loopback_port_and_asks_who_is_there(tmp_path: Path, vectors):
    if not milvus_standalone.is_installed():
        absent(f"the package milvus is not installed: `pip install milvus=={milvus_standalone.VERSION}`")
    plan = await asyncio.to_thread(
        milvus_standalone.prepare, tmp_path / "data", Settings().cache_dir, authentication=True
    )
    child = milvus_standalone.start(plan, tmp_path / "milvus.log")
    try:
        answers = partial(milvus.answers, plan.uri, milvus_standalone.ROOT_TOKEN)
        try:
            await until_it_answers(child, answers, [plan.port], milvus_standalone.REMEDY, 120)
        except PartFailed as error:
            if "does not allow a network" in str(error):
                absent(str(error))
            raise
        with pytest.raises(DependencyUnavailable):
            await milvus.answers(plan.uri, "", timeout_seconds=3)
        assert not await asyncio.to_thread(vectors(plan.uri, milvus_standalone.ROOT_TOKEN).list_collections)
        relay, server = psutil.Process(child.pid).children(recursive=True)
        assert server.name() == "milvus"
        assert listening([relay]) == {"127.0.0.1"}
        # Its own sockets are in a network that is not this one.
        assert network(server.pid) != network(os.getpid())
    finally:
        child.stop()
