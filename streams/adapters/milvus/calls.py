"""Calls of Milvus from asyncio, and what its errors mean to us."""

import asyncio
import contextlib
import logging
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar
from urllib.parse import urlsplit

import grpc
from pymilvus import MilvusClient, MilvusException
from pymilvus.grpc_gen.common_pb2 import ErrorCode

from streams.errors import BadInput, DependencyUnavailable, LikenessError
from streams.keepalive import GRPC_OPTIONS

T = TypeVar("T")

#: Threads, each with a connection of its own: a search asks two collections at once, and on a strongly consistent
#: server each question waits for the server's clock tick (about 0.2 s on Milvus 2.3).
THREADS = 2

_REFUSED = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
_TRANSIENT = {
    grpc.StatusCode.ABORTED,
    grpc.StatusCode.CANCELLED,
    grpc.StatusCode.DEADLINE_EXCEEDED,
    grpc.StatusCode.RESOURCE_EXHAUSTED,
    grpc.StatusCode.UNAVAILABLE,
}

#: Codes of Milvus since 2.3 (``merr``) that pass by themselves: the service, its limits, channels, segments, nodes,
#: storage and the message queue.
_TRANSIENT_CODES = {2, 3, 4, 7, 8, 9, 27, 103, *range(500, 505), *range(600, 604), *range(901, 908), 1001, 1002, 1300}
#: What a server says that is still starting, under codes that mean "unknown".
_STARTING = ("not ready", "service unavailable")

#: What Milvus Lite says to whoever writes while the collection is written anew.
_WRITTEN_ANEW = "WAL already closed"

_REFUSED_CODES = {1400, 1401, 1800}
_NOT_LOADED_CODES = {101}
_NO_COLLECTION_CODES = {100}

#: The same in the older numbering, which servers still send beside the other.
_TRANSIENT_LEGACY = {
    ErrorCode.DDRequestRace,
    ErrorCode.DataCoordNA,
    ErrorCode.ForceDeny,
    ErrorCode.MemoryQuotaExhausted,
    ErrorCode.NoReplicaAvailable,
    ErrorCode.NotReadyCoordActivating,
    ErrorCode.NotReadyServe,
    ErrorCode.NotShardLeader,
    ErrorCode.RateLimit,
    ErrorCode.TimeTickLongDelay,
}


class Calls:
    """Runs blocking calls of pymilvus on a few threads, each with a connection of its own.

    A connection that failed is closed and made anew by the next call, so a server that comes back, at the same
    address or behind it, is found again.
    """

    def __init__(self, uri: str, token: str, timeout_seconds: float, load: Callable[[MilvusClient], None]) -> None:
        """Connect nothing yet. ``load`` makes the server load the collections again where it has unloaded them."""
        self.timeout_seconds = timeout_seconds
        self._uri = uri
        self._token = token
        self._load = load
        self._executor = ThreadPoolExecutor(THREADS, thread_name_prefix="milvus")
        self._own = threading.local()
        self._clients: set[MilvusClient] = set()
        self._was_let_in = False

    async def run(self, operation: Callable[[MilvusClient], T]) -> T:
        """Return what ``operation`` returns; it runs on a thread and must give every call a timeout.

        Raises:
            DependencyUnavailable: If the server cannot be reached, hangs, is not ready, or has not the gallery; or if
                it refuses the token that it took before, as a server does that has not read its users yet.
            BadInput: If the server refuses the token from the first.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, operation)

    async def close(self) -> None:
        """Wait for the calls that run, then close the connections."""
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        for client in self._clients:
            client.close()
        self._clients.clear()

    def _run(self, operation: Callable[[MilvusClient], T]) -> T:
        with self._translated():
            client = self._client()
            try:
                found = operation(client)
            except MilvusException as error:
                if error.code not in _NOT_LOADED_CODES:
                    raise
                self._load(client)  # a server that was started again may have its collections on disk only
                found = operation(client)
            self._was_let_in = True
            return found

    def _client(self) -> MilvusClient:
        client = getattr(self._own, "client", None)
        if client is None:
            # pymilvus logs every error with its traceback before raising it; whoever catches it decides what is said.
            logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
            client = MilvusClient(
                self._uri,
                token=self._token,
                timeout=self.timeout_seconds,
                dedicated=True,
                grpc_options=GRPC_OPTIONS,
            )
            self._own.client = client
            self._clients.add(client)
        return client

    def _forget_client(self) -> None:
        client = getattr(self._own, "client", None)
        if client is not None:
            self._own.client = None
            self._clients.discard(client)
            client.close()

    @contextlib.contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except (MilvusException, grpc.RpcError, grpc.FutureTimeoutError) as error:
            meaning = meaning_of(error, address(self._uri))
            if meaning is None:
                raise
            if isinstance(meaning, BadInput) and self._was_let_in:
                meaning = DependencyUnavailable("milvus", str(meaning))
            if isinstance(meaning, DependencyUnavailable):
                self._forget_client()
            raise meaning from error


def address(uri: str) -> str:
    """Return the host and port of ``uri``, without what it may say about users.

    >>> address("https://root:secret@example.org:19530/faces")
    'example.org:19530'
    """
    parts = urlsplit(uri)
    return parts.netloc.rpartition("@")[2]


def require_address(uri: str) -> None:
    """Raise BadInput unless ``uri`` is the address of a server; a path would start one inside this process."""
    try:
        parts = urlsplit(uri)
        usable = parts.scheme in {"http", "https"} and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable:
        raise BadInput(
            f"expected Milvus' address as http://host:port or https://host, got {address(uri) or uri!r}:"
            " set LIKENESS_MILVUS"
        )


def meaning_of(error: Exception, where: str) -> LikenessError | None:
    """Return what an error of pymilvus means; None for a mistake of ours, which must not pass for an outage."""
    rpc = _beneath(error)
    status = rpc.code() if isinstance(rpc, grpc.Call) else None
    code = getattr(error, "code", None) if isinstance(error, MilvusException) else None
    if status in _REFUSED or code in _REFUSED_CODES or "auth check failure" in str(error):
        return BadInput(
            f"expected a token that Milvus at {where} knows and that may do this, got {_said(error)}:"
            " set LIKENESS_MILVUS_TOKEN to user:password or an API key"
        )
    starting = status is grpc.StatusCode.UNKNOWN and _is_starting(_said(rpc or error))
    if status in _TRANSIENT or starting or isinstance(rpc, grpc.FutureTimeoutError):
        return DependencyUnavailable("milvus", f"{where}: {_said(rpc or error)}; is it running and reachable?")
    if rpc is not None or not isinstance(error, MilvusException) or _from_python(error):
        return None
    if code in _NO_COLLECTION_CODES:  # as a server says too that was started again and recovers
        return DependencyUnavailable(
            "milvus",
            f"{where}: expected the gallery that was opened, got {_said(error)}; if it stays so, enrol again",
        )
    if _passes_by_itself(error):
        return DependencyUnavailable("milvus", f"{where}: {_said(error)}")
    return None


def _passes_by_itself(error: MilvusException) -> bool:
    return bool(
        getattr(error, "retriable", False)
        or error.code in _TRANSIENT_CODES | _NOT_LOADED_CODES
        or error.compatible_code in _TRANSIENT_LEGACY
        or "Retry timeout" in error.message  # pymilvus itself gave up
        or _WRITTEN_ANEW in error.message
        or (error.code == ErrorCode.UnexpectedError and _is_starting(error.message))
    )


def _is_starting(text: str) -> bool:
    return any(sign in text.lower() for sign in _STARTING)


def _beneath(error: BaseException) -> BaseException | None:
    """Return the error of gRPC at the bottom of ``error``, which may be itself; None where there is none."""
    seen: set[int] = set()
    current: BaseException | None = error
    while current is not None and id(current) not in seen:  # pymilvus raises errors as their own cause
        if _is_rpc(current):
            return current
        seen.add(id(current))
        current = current.__cause__
    return None


def _is_rpc(error: BaseException) -> bool:
    return isinstance(error, grpc.RpcError | grpc.FutureTimeoutError)


def _from_python(error: MilvusException) -> bool:
    """Say whether pymilvus wrapped an error of the program, such as a TypeError, into its own."""
    cause = error.__cause__
    return cause is not None and not isinstance(cause, MilvusException)


def _said(error: BaseException) -> str:
    text = error.details() if isinstance(error, grpc.Call) else getattr(error, "message", None)
    return " ".join(str(text or error).split())[:300]
