"""Decodes images in a child process: whatever strangers' bytes do to their decoder, no worker dies of it.

The child can neither write files nor have much memory, knows no secret, and ends with its parent. It takes one image at
a time, so it is known over which one it died. That image is then decoded alone, again and again in a new child which
has just decoded an image that is known to be good; after ``CRASH_LOOP_DEATHS`` children it is refused. Where the good
image fails, it is the machine: memory may be short, and no sample must pay for that.
"""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import numpy as np

from streams.adapters.images import decoder_child
from streams.adapters.images.decode import encode_png, too_many_bytes
from streams.adapters.images.unpack import MAX_PIXELS
from streams.core.deadletter import CRASH_LOOP_DEATHS
from streams.core.faces import Pixels, Undecodable
from streams.errors import DependencyUnavailable, ExaminerDied
from streams.events import DeadReason
from streams.processes.ending import ending

#: What decodes, inside the child: takes bytes, returns pixels or a ``Refusal``.
UNPACK = "streams.adapters.images.unpack:unpack"
#: The same for files of one's own, in any format that Pillow reads.
UNPACK_ANY = "streams.adapters.images.unpack_any:unpack_any"

#: So many children are tried before it is said that none takes an image.
_HANDINGS = 3

#: How long the child may take over one image, in seconds. The largest that is accepted takes one.
IMAGE_SECONDS = 20.0

#: How long the child may take to start, in seconds: it does so in a fifth of one where nothing else runs.
START_SECONDS = 60.0

#: How long a child that has closed its socket may take to be gone, in seconds.
_END_SECONDS = 5.0

#: Address space of the child, in bytes. The largest image that is accepted takes a third of it.
MEMORY_BYTES = 1536 * 1024 * 1024

#: The longest explanation that the child may give, in bytes, and all that it may be about.
_WORDS = 10_000
_REASONS = (DeadReason.IMAGE_UNDECODABLE, DeadReason.IMAGE_TOO_LARGE)

#: All that the child learns of its parent's environment: how to find Python and its libraries.
_ENVIRONMENT = ("PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "PYTHONHOME", "VIRTUAL_ENV", "SYSTEMROOT")
_ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}

#: Bytes, for glibc: memory of one image is kept for the next one. Without it, getting the pages of an image of
#: 1024 x 1024 pixels took twice as long as decoding it.
_KEPT_MEMORY = {"MALLOC_TRIM_THRESHOLD_": str(128 << 20), "MALLOC_MMAP_THRESHOLD_": str(32 << 20)}


class DecoderProcess:
    """Decodes in a child process of its own. Used by one thread; only ``interrupt`` may come from another."""

    def __init__(
        self,
        decoder: str = UNPACK,
        *,
        image_seconds: float = IMAGE_SECONDS,
        start_seconds: float = START_SECONDS,
        memory_bytes: int = MEMORY_BYTES,
    ) -> None:
        """Take what the child is to run, as ``module:function``; nothing starts yet."""
        self._decoder = decoder
        self._image_seconds = image_seconds
        self._start_seconds = start_seconds
        self._memory = memory_bytes
        self._child: _Child | None = None
        self._closing = threading.Lock()
        self._closed = False

    def start(self) -> None:
        """Start the child and return at once: it gets ready while others do something else."""
        with self._closing:
            if self._closed:
                raise _unavailable("it was closed")
            if self._child is None:
                self._child = _Child(self._decoder, self._memory)

    def decode(self, encoded: Iterable[bytes]) -> Iterator[Pixels | Undecodable]:
        """Yield the pixels of each image, or why it has none, in order.

        Raises:
            DependencyUnavailable: If a child does not start or dies over an image that is known to be good, or
                it was closed; no image is to blame.
        """
        for each in encoded:
            yield too_many_bytes(each) or self._decoded(each)

    def interrupt(self) -> None:
        """Kill the child, also one that is decoding: that call and every later one raise DependencyUnavailable.

        May be called from any thread.
        """
        with self._closing:
            self._closed = True
            if self._child is not None:
                self._child.kill()

    def close(self) -> None:
        """End the child, for good."""
        self.interrupt()
        self._end()

    def __enter__(self) -> Self:
        """Return itself; nothing starts yet."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """End the child."""
        self.close()

    @cached_property
    def _canary(self) -> bytes:
        """An image that has killed no decoder yet, and takes as much memory as any that is accepted."""
        side = int(MAX_PIXELS**0.5)
        return encode_png(np.zeros((side, side, 3), np.uint8))

    def _decoded(self, encoded: bytes) -> Pixels | Undecodable:
        answer = self._ask(encoded)
        deaths = 0
        while isinstance(answer, _Death):
            # The first one had decoded others before: it makes a suspect, and no more.
            self._require_a_good_child(answer)
            if deaths == CRASH_LOOP_DEATHS:
                detail = f"{deaths} decoder processes died of it: the last one {answer.how}"
                return Undecodable(DeadReason.CRASH_LOOP, detail, ExaminerDied.__name__)
            answer = self._ask(encoded)
            deaths += 1
        return answer

    def _require_a_good_child(self, death: "_Death") -> None:
        canary = self._ask(self._canary)
        if not isinstance(canary, np.ndarray):
            what = canary.how if isinstance(canary, _Death) else f"said: {canary.detail}"
            raise _unavailable(f"a decoder process {death.how}; its successor, over an image known to be good, {what}")

    def _ask(self, encoded: bytes) -> "Pixels | Undecodable | _Death":
        """Return what the child says of the image, or how it ended over it."""
        for _ in range(_HANDINGS):
            child = self._ready()
            try:
                child.hand(encoded, self._image_seconds)
            except (BrokenPipeError, ConnectionResetError):
                self._end()  # it was gone before it had the image
                continue
            except TimeoutError:
                return self._dead(f"took nothing for {self._image_seconds:g} s and was killed")
            try:
                answer = child.answer(self._image_seconds)
            except TimeoutError:
                return self._dead(f"did not finish in {self._image_seconds:g} s and was killed")
            except ValueError as error:
                return self._dead(f"answered what no decoder answers, {error}, and was killed")
            except (EOFError, OSError):
                return self._dead(f"ended with {ending(child.wait())}")
            return self._dead(answer.how) if isinstance(answer, _Death) else answer
        raise _unavailable(
            "it was closed" if self._closed else f"{_HANDINGS} decoder processes ended before they had taken an image"
        )

    def _dead(self, how: str) -> "_Death":
        if self._closed:
            raise _unavailable("it was closed")
        self._end()
        return _Death(how)

    def _ready(self) -> "_Child":
        """Return a child that lives and is ready, a new one if need be."""
        if self._child is not None and not self._child.alive:
            self._end()
        self.start()
        child = self._child
        assert child is not None  # noqa: S101 - only this thread takes it away
        try:
            child.await_ready(self._start_seconds)
        except TimeoutError:
            what = f"did not start in {self._start_seconds:g} s and was killed"
        except (EOFError, OSError):
            what = f"ended with {ending(child.wait())} while it started; what it wrote to standard error says more"
        else:
            return child
        self._end()
        raise _unavailable("it was closed" if self._closed else f"a decoder process {what}")

    def _end(self) -> None:
        with self._closing:
            child, self._child = self._child, None
        if child is not None:
            child.end()


@dataclass(frozen=True)
class _Death:
    """How a child ended over an image."""

    how: str


class _Child:
    """One decoder process and the socket to it."""

    def __init__(self, decoder: str, memory: int) -> None:
        program = [sys.executable, "-I", "-S", str(Path(decoder_child.__file__))]
        arguments = [str(os.getpid()), str(memory), decoder, *filter(None, map(os.path.abspath, sys.path))]
        environment = {name: os.environ[name] for name in _ENVIRONMENT if name in os.environ}
        environment |= _ONE_THREAD | _KEPT_MEMORY
        self._pipe, theirs = socket.socketpair()
        with theirs:
            # What it prints belongs beside what it says of its end, and never into our own standard output.
            self._process = subprocess.Popen([*program, *arguments], stdin=theirs.fileno(), stdout=2, env=environment)
        self._is_ready = False

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def await_ready(self, seconds: float) -> None:
        if not self._is_ready:
            self._is_ready = self._receive(1, time.monotonic() + seconds) == decoder_child.READY

    def hand(self, encoded: bytes, seconds: float) -> None:
        self._pipe.settimeout(seconds)
        self._pipe.sendall(decoder_child.LENGTH.pack(len(encoded)))
        self._pipe.sendall(encoded)

    def answer(self, seconds: float) -> "Pixels | Undecodable | _Death":
        """Read one answer, trusting nothing in it. Raises ValueError where it has not the agreed form."""
        deadline = time.monotonic() + seconds
        kind, first, second = decoder_child.ANSWER.unpack(self._receive(decoder_child.ANSWER.size, deadline))
        if kind == decoder_child.PIXELS and 0 < first * second <= MAX_PIXELS:
            rgb = np.frombuffer(self._receive(first * second * 3, deadline), np.uint8)
            return rgb.reshape(first, second, 3)
        if kind == decoder_child.REFUSED and first <= _WORDS:
            return _refusal(bytes(self._receive(first, deadline)))
        if kind == decoder_child.RAISED and first <= _WORDS:
            return _Death(f"raised {self._receive(first, deadline).decode(errors='replace')}")
        raise ValueError(f"{kind} {first} {second}")

    def _receive(self, length: int, deadline: float) -> bytearray:
        held = bytearray(length)
        left = memoryview(held)
        while left:
            # A timeout of 0 would mean that nothing is waited for, which is no TimeoutError.
            self._pipe.settimeout(max(0.001, deadline - time.monotonic()))
            count = self._pipe.recv_into(left)
            if not count:
                raise EOFError
            left = left[count:]
        return held

    def wait(self) -> int:
        """Return the exit code of a child that has closed its end, so that it is ending."""
        with suppress(subprocess.TimeoutExpired):
            return self._process.wait(_END_SECONDS)
        self._process.kill()
        return self._process.wait()

    def kill(self) -> None:
        self._process.kill()

    def end(self) -> None:
        self._process.kill()
        self._process.wait()
        self._pipe.close()


def _refusal(said: bytes) -> Undecodable:
    named, detail, exception = said.decode().split("\0")
    reason = DeadReason(named)
    if reason not in _REASONS:
        raise ValueError(f"the reason {named}")
    return Undecodable(reason, detail, exception)


def _unavailable(detail: str) -> DependencyUnavailable:
    return DependencyUnavailable("examiner", detail)
