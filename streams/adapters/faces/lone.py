"""The examiner for images under suspicion: whatever they do to their reader, they do to a child process.

The child is spawned, never forked: a fork after torch has run hangs. It starts when it is first needed, and ends with
its parent, however that ends.

A child's death is held against its images only if another child can examine an image that is known to be good. Where
that one dies too, or cannot even load, it is the machine: memory may be short, and no sample must pay for that.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol

import numpy as np

from streams.adapters.images.decode import encode_png
from streams.core.faces import EmbeddingSpace, Examined
from streams.errors import BadInput, DependencyUnavailable, ExaminerDied, Unready, WeightsUnusable
from streams.processes.ending import ending

#: How long the child may take to load its networks, in seconds; the weights may have to be fetched.
START_SECONDS = 1800.0

#: So many children are tried before it is said that none takes the images.
_HANDINGS = 3

#: How long the child may take over one list of images, in seconds.
EXAMINE_SECONDS = 60.0

#: What a child says when it must not run as it is set up: another one would say the same.
_SETUP = (BadInput, Unready, WeightsUnusable)


class Engine(Protocol):
    """What examines, inside the child."""

    def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order."""


def known_good() -> bytes:
    """Return an image that has killed no reader yet: a gradient, which is decoded and searched for faces."""
    ramp = np.arange(256, dtype=np.uint8)
    return encode_png(np.stack(np.broadcast_arrays(ramp[:, None], ramp[None, :], np.uint8(128)), axis=-1))


class LoneExaminer:
    """Examines in a child process of its own. Implements the port ``Examiner``."""

    def __init__(
        self,
        load: Callable[[], Engine],
        space: EmbeddingSpace,
        *,
        canary: bytes,
        examine_seconds: float = EXAMINE_SECONDS,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Take what the child is to run; nothing starts yet.

        Args:
            load: Makes the engine, in the child. It has to pickle: a function of a module, or a partial of one.
            space: The space of the engine's embeddings.
            canary: An image that is known to be good: a new child must examine it before a death counts.
            examine_seconds: A child that takes longer over one list is killed.
            start_seconds: A child that takes longer to load is killed.
        """
        self._load = load
        self._space = space
        self._canary = canary
        self._examine_seconds = examine_seconds
        self._start_seconds = start_seconds
        # One thread: one list at a time, and all of the child's life is seen by it alone, but for its killing.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="lone-examiner")
        self._child: tuple[BaseProcess, Connection] | None = None
        self._closed = False

    @property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings."""
        return self._space

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order. The next call finds a new child if this one dies.

        Raises:
            ExaminerDied: If the child died over these images, or did not finish in time and was killed, and another
                one lives.
            DependencyUnavailable: If a child dies while it starts or over an image that is known to be good, or
                ``close`` has ended it; no image is to blame.
            Unready: If the engine cannot run as it is set up.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._examine, list(encoded))

    async def close(self) -> None:
        """End the child, also one that is examining; that call raises DependencyUnavailable."""
        self._closed = True
        child = self._child
        if child is not None:
            child[0].kill()
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._end()

    def _examine(self, encoded: list[bytes]) -> list[Examined]:
        answer = self._ask(encoded)
        if isinstance(answer, list):
            return answer
        canary = self._ask([self._canary])
        if not isinstance(canary, list):
            raise self._unavailable(
                f"a child process {answer}; its successor, over an image known to be good, {canary}"
            )
        raise ExaminerDied(
            f"expected a child process to examine {len(encoded)} images, it {answer}; another one is ready"
        )

    def _ask(self, encoded: list[bytes]) -> list[Examined] | str:
        """Return what the child says of the images, or how it ended over them."""
        process, pipe = self._taken(encoded)
        try:
            if pipe.poll(self._examine_seconds):
                examined: list[Examined] = pipe.recv()
                return examined
            what = f"did not finish in {self._examine_seconds:g} s and was killed"
        except (EOFError, OSError):
            process.join()
            what = f"ended with {ending(process.exitcode)}"
        self._end()
        return what

    def _taken(self, encoded: list[bytes]) -> tuple[BaseProcess, Connection]:
        """Hand the images to a child that says that it has them. One that dies before did not die of them."""
        for _ in range(_HANDINGS):
            process, pipe = self._living()
            with suppress(EOFError, OSError):
                pipe.send(encoded)
                if pipe.poll(self._examine_seconds):
                    pipe.recv()
                    return process, pipe
            self._end()
        raise self._unavailable(f"{_HANDINGS} child processes ended before they took the images")

    def _unavailable(self, detail: str) -> DependencyUnavailable:
        return DependencyUnavailable("examiner", detail)

    def _living(self) -> tuple[BaseProcess, Connection]:
        """Return the child, a new one if there is none that lives."""
        if self._child is not None and self._child[0].is_alive():
            return self._child
        self._end()
        if self._closed:
            raise self._unavailable("it was closed")
        context = multiprocessing.get_context("spawn")
        pipe, theirs = context.Pipe()
        process = context.Process(target=_serve, args=(self._load, theirs), name="lone-examiner", daemon=True)
        process.start()
        theirs.close()  # so that the child's death is the end of the pipe
        self._child = process, pipe
        if self._closed:
            process.kill()
        self._await_start(process, pipe)
        return self._child

    def _await_start(self, process: BaseProcess, pipe: Connection) -> None:
        try:
            if pipe.poll(self._start_seconds):
                refusal: Unready | None = pipe.recv()
                if refusal is None:
                    return
                self._end()
                raise refusal
            what = f"did not load in {self._start_seconds:g} s and was killed"
        except (EOFError, OSError):
            process.join()
            what = f"ended with {ending(process.exitcode)} while it loaded; what it wrote to standard error says more"
        self._end()
        raise self._unavailable(f"a child process {what}")

    def _end(self) -> None:
        if self._child is None:
            return
        process, pipe = self._child
        self._child = None
        process.kill()
        process.join()
        pipe.close()


def _serve(load: Callable[[], Engine], pipe: Connection) -> None:
    """Run in the child: load, say None or why not; take list after list, say None, answer; until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which ends the child
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        engine = load()
    except _SETUP as error:
        # Errors of ours need not pickle: their words do.
        pipe.send(Unready(f"expected a child process to load the examiner, got {type(error).__name__}: {error}"))
        return
    pipe.send(None)
    while True:
        try:
            encoded = pipe.recv()
        except EOFError:
            return
        pipe.send(None)  # it has them: from here on they may be to blame
        pipe.send(engine.examine(encoded))


def _end_with_parent() -> None:
    """End this process when its parent has ended, even one that is killed while an image is examined."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
