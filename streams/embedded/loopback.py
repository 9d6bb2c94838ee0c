"""Ports on this machine alone, and waiting until what listens there answers."""

import asyncio
import random
import socket
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import ExitStack

from streams.errors import DependencyUnavailable, PartFailed
from streams.processes.child import Child

HOST = "127.0.0.1"

#: Ports are chosen below those that the system gives to outgoing connections, which could take one meanwhile.
_RANGE = range(20_000, 30_000)

#: Seconds between two questions whether a starting part answers.
_PAUSE = 0.1


def free_ports(count: int) -> list[int]:
    """Return so many different ports that nobody listens on. Raises PartFailed where there are not enough."""
    found: list[int] = []
    with ExitStack() as held:
        for port in random.sample(_RANGE, len(_RANGE)):
            if len(found) == count:
                break
            trial = held.enter_context(socket.socket())
            try:
                trial.bind((HOST, port))
            except OSError:
                continue
            found.append(port)
    if len(found) < count:
        raise PartFailed(
            f"expected {count} free ports in {_RANGE.start} to {_RANGE.stop - 1} on {HOST}, found {len(found)}:"
            " end programs that listen there"
        )
    return found


def is_taken(port: int) -> bool:
    """Whether somebody listens on the port."""
    with socket.socket() as trial:
        trial.settimeout(1)
        return trial.connect_ex((HOST, port)) == 0


async def connects(dependency: str, address: str, timeout_seconds: float) -> None:
    """Open and close one connection to ``host:port``. Raises DependencyUnavailable."""
    host, _, port = address.rpartition(":")
    try:
        async with asyncio.timeout(timeout_seconds):
            _, writer = await asyncio.open_connection(host.strip("[]"), int(port))
            writer.close()
            await writer.wait_closed()
    except (OSError, ValueError) as error:  # asyncio's TimeoutError is an OSError
        raise DependencyUnavailable(dependency, f"no connection to {address} ({error or 'too slow'})") from error


async def until_it_answers(
    child: Child,
    answers: Callable[[], Awaitable[None]],
    ports: Sequence[int],
    remedy: str,
    seconds: float,
) -> None:
    """Ask again and again until the child answers.

    Args:
        child: Who should answer.
        answers: Asks once; raises DependencyUnavailable where there is no answer.
        ports: The ports that the child was told to listen on.
        remedy: What to do where it never answers.
        seconds: How long to wait.

    Raises:
        PartFailed: It ended, or did not answer in time.
    """
    deadline = time.monotonic() + seconds
    while True:
        failed: DependencyUnavailable | None = None
        try:
            await answers()
        except DependencyUnavailable as error:
            failed = error
        status = child.poll()
        if status is not None:
            stolen = [port for port in ports if is_taken(port)]
            if stolen:
                raise child.failure(f"found port {stolen[0]} taken by another program", "start again")
            raise child.failure(f"ended with status {status} while starting", remedy)
        if failed is None:
            return
        if time.monotonic() > deadline:
            raise child.failure(f"did not answer within {seconds:.0f} s ({failed})", remedy) from failed
        await asyncio.sleep(_PAUSE)
