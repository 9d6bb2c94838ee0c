"""Real servers that several files of tests share."""

import importlib.util
from collections.abc import Callable, Iterator

import pytest

from streams.errors import PartFailed
from streams.settings import Settings
from streams.testing.milvus_server import MilvusServer
from tests.absent import absent


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
