"""Real servers that several files of tests share."""

import asyncio
import importlib.util
import threading
from collections.abc import AsyncIterator, Callable, Iterator

import pytest
from aiokafka.admin import AIOKafkaAdminClient

from streams.embedded import doctor, kafka_jars, kafka_topics
from streams.errors import PartFailed
from streams.settings import Settings
from streams.testing.milvus_server import MilvusServer
from tests.absent import absent
from tests.plain_kafka import plain_kafka


def _started(package: str, make: Callable[[], MilvusServer]) -> Iterator[MilvusServer]:
    if importlib.util.find_spec(package) is None:
        absent(f"the package {package} is not installed: pip install 'likeness-qc[dev]'")
    server = make()
    try:
        try:
            server.start()
        except PartFailed as error:
            if "does not allow a network" not in str(error):
                raise
            absent(str(error))
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def lite(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """Milvus Lite's server."""
    yield from _started("milvus_lite", lambda: MilvusServer.lite(tmp_path_factory.mktemp("lite")))


@pytest.fixture(scope="session")
def standalone(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MilvusServer]:
    """A Milvus standalone that asks for a password."""
    folder = tmp_path_factory.mktemp("standalone")
    yield from _started("milvus", lambda: MilvusServer.standalone(folder, Settings().cache_dir))


@pytest.fixture(scope="session")
def embedded_parts_installed() -> None:
    """What the embedded parts need is there."""
    for report in asyncio.run(doctor.examine(Settings())):
        if not report.installed:
            absent(f"{report.part}: {report.advice}")
    try:
        kafka_jars.fetch(Settings().cache_dir, print, threading.Event())
    except PartFailed as error:
        absent(str(error))


@pytest.fixture(scope="session")
def kafka_bootstrap(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a plain Kafka without our topics, for tests with names of their own."""
    with plain_kafka(tmp_path_factory.mktemp("kafka")) as address:
        yield address


@pytest.fixture
async def kafka_with_topics(kafka_bootstrap: str) -> AsyncIterator[str]:
    """The same Kafka with our topics, empty; a group's committed offsets go with the topics."""
    await kafka_topics.create(kafka_bootstrap)
    yield kafka_bootstrap
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka_bootstrap)
    try:
        await admin.start()
        ours = [name for name in await admin.list_topics() if not name.startswith("__")]
        await admin.delete_topics(ours)
        async with asyncio.timeout(60):
            while set(ours) & set(await admin.list_topics()):  # noqa: ASYNC110 - nobody tells
                await asyncio.sleep(0.02)
    finally:
        await admin.close()
