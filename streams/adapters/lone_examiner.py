"""The examiner for images under suspicion: whatever they do to their reader, they do to a child process.

The child is spawned, never forked: a fork after torch has run hangs. It starts when it is first needed, and ends with
its parent, however that ends.
"""

import asyncio
import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Protocol

from streams.core.faces import EmbeddingSpace, Examined
from streams.errors import ExaminerDied, LikenessError, Unready

#: How long the child may take to load its networks, in seconds; the weights may have to be fetched.
START_SECONDS = 1800.0

#: How long the child may take over one list of images, in seconds.
EXAMINE_SECONDS = 60.0


class Engine(Protocol):
    """What examines, inside the child."""

    def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order."""


class LoneExaminer:
    """Examines in a child process of its own. Implements the port ``Examiner``."""

    def __init__(
        self,
        load: Callable[[], Engine],
        space: EmbeddingSpace,
        *,
        examine_seconds: float = EXAMINE_SECONDS,
        start_seconds: float = START_SECONDS,
    ) -> None:
        """Take what the child is to run; nothing starts yet.

        Args:
            load: Makes the engine, in the child. It has to pickle: a function of a module, or a partial of one.
            space: The space of the engine's embeddings.
            examine_seconds: A child that takes longer over one list is killed.
            start_seconds: A child that takes longer to load is killed.
        """
        self._load = load
        self._space = space
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
            ExaminerDied: If the child died over these images, or did not finish in time and was killed.
            Unready: If a child cannot start; no image is to blame.
        """
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._examine, list(encoded))

    async def close(self) -> None:
        """End the child, also one that is examining; that call raises ExaminerDied."""
        self._closed = True
        child = self._child
        if child is not None:
            child[0].kill()
        await asyncio.to_thread(self._executor.shutdown, cancel_futures=True)
        self._end()

    def _examine(self, encoded: list[bytes]) -> list[Examined]:
        process, pipe = self._living()
        try:
            pipe.send(encoded)
            if pipe.poll(self._examine_seconds):
                examined: list[Examined] = pipe.recv()
                return examined
            what = f"did not finish in {self._examine_seconds:g} s and was killed"
        except (EOFError, OSError):
            process.join()
            what = f"ended with {_ending(process.exitcode)}"
        self._end()
        raise ExaminerDied(
            f"expected a child process to examine {len(encoded)} images, it {what}; the next call starts another"
        )

    def _living(self) -> tuple[BaseProcess, Connection]:
        """Return the child, a new one if there is none that lives."""
        if self._child is not None and self._child[0].is_alive():
            return self._child
        self._end()
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
                refusal: str | None = pipe.recv()
                if refusal is None:
                    return
                what = refusal
            else:
                what = f"it did not load in {self._start_seconds:g} s and was killed"
        except (EOFError, OSError):
            process.join()
            what = f"it ended with {_ending(process.exitcode)}; what it wrote to standard error says more"
        self._end()
        raise Unready(f"expected a child process to load the examiner, got: {what}")

    def _end(self) -> None:
        if self._child is None:
            return
        process, pipe = self._child
        self._child = None
        process.kill()
        process.join()
        pipe.close()


def _serve(load: Callable[[], Engine], pipe: Connection) -> None:
    """Run in the child: load, say None, then answer list after list until the parent is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for the parent, which ends the child
    threading.Thread(target=_end_with_parent, daemon=True).start()
    try:
        engine = load()
    except LikenessError as error:
        pipe.send(f"{type(error).__name__}: {error}")
        return
    pipe.send(None)
    while True:
        try:
            encoded = pipe.recv()
        except EOFError:
            return
        pipe.send(engine.examine(encoded))


def _end_with_parent() -> None:
    """End this process when its parent has ended, even one that is killed while an image is examined."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _ending(code: int | None) -> str:
    """Say how a process ended.

    >>> _ending(-6), _ending(1)
    ('signal SIGABRT', 'exit code 1')
    """
    if code is not None and code < 0:
        return f"signal {signal.Signals(-code).name}"
    return f"exit code {code}"
