"""The image store on S3: what production uses, against a real S3 protocol server on this machine."""

import os
import socket
import sys
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import fsspec
import pytest
from tenacity import retry, retry_if_exception_type, stop_after_delay, wait_fixed

from streams.adapters.images.store import ImageStore
from streams.embedded.loopback import HOST, free_ports
from streams.errors import DependencyUnavailable, ImageAltered, ImageMissing
from streams.events import ImageRef
from streams.processes.child import Child

NOWHERE = ImageRef(sha256="0" * 64, size=7)


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """S3's own variables, as docker-compose.yml sets them, for a port on which nothing listens yet."""
    (port,) = free_ports(1)
    monkeypatch.setenv("AWS_ENDPOINT_URL_S3", f"http://{HOST}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "likeness")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "only-for-this-test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_MAX_ATTEMPTS", "1")
    yield port
    fsspec.get_filesystem_class("s3").clear_instance_cache()


@pytest.fixture
def s3(environment: int, tmp_path: Path) -> Iterator[Child]:
    command = [sys.executable, "-m", "moto.server", "-H", HOST, "-p", str(environment)]
    server = Child.start("S3", command, os.environ, tmp_path / "s3.log")
    try:
        _listens(environment)
        yield server
    finally:
        server.stop()


@retry(retry=retry_if_exception_type(OSError), wait=wait_fixed(0.05), stop=stop_after_delay(30), reraise=True)
def _listens(port: int) -> None:
    socket.create_connection((HOST, port), timeout=5).close()


@pytest.fixture
async def store(s3: Child) -> ImageStore:
    fsspec.filesystem("s3").mkdir("likeness")
    store = ImageStore("s3://likeness/images")
    await store.open(create=True)
    return store


async def test_what_one_process_stores_another_one_reads(store: ImageStore):
    ref = await store.put(b"picture")

    other = ImageStore("s3://likeness/images")
    await other.open()

    assert await other.find(ref.sha256) == ref
    assert await other.get(ref) == b"picture"


async def test_an_image_that_is_missing_or_altered_is_told_from_an_outage(store: ImageStore):
    ref = await store.put(b"picture")
    fsspec.filesystem("s3").pipe_file(store.locate(ref), b"forgery")

    with pytest.raises(ImageAltered):
        await store.get(ref)
    with pytest.raises(ImageMissing):
        await store.get(NOWHERE)


async def test_a_bucket_that_nobody_made_is_waited_for(s3: Child):
    with pytest.raises(DependencyUnavailable, match="bucket does not exist"):
        await ImageStore("s3://likeness/images").open(create=True)


CALLS: dict[str, Callable[[ImageStore], Awaitable[object]]] = {
    "open": lambda store: store.open(),
    "put": lambda store: store.put(b"another picture"),
    "find": lambda store: store.find(NOWHERE.sha256),
    "get": lambda store: store.get(NOWHERE),
}


@pytest.mark.parametrize("call", CALLS)
async def test_a_store_that_nobody_answers_for_is_an_outage_and_never_a_missing_image(environment: int, call: str):
    with pytest.raises(DependencyUnavailable, match=str(environment)):
        await CALLS[call](ImageStore("s3://likeness/images"))
