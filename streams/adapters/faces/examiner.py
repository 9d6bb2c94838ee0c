"""The examiner of a worker: the face engine on one thread of its own, off the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Self, TypeVar

from streams.adapters.copies.descriptor import described
from streams.adapters.faces.engine import FaceEngine, embedding_space
from streams.adapters.images.decoder import DecoderProcess
from streams.core.explain.look import Look
from streams.core.faces import EmbeddingSpace, Examined, Face, Sighting, Undecodable
from streams.core.imprints import Descriptor, Imprints
from streams.errors import Unready
from streams.settings import Settings
from streams.wheels import Report, silent

T = TypeVar("T")


class FaceExaminer:
    """Examines in a thread of this process, and decodes in another process.

    Implements the ports ``TwofoldExaminer``, ``Imprinter`` and ``Describer``.
    """

    def __init__(self, settings: Settings, report: Report = silent, *, decoder: DecoderProcess | None = None) -> None:
        """Take the settings; ``open`` does the work and reports on it line by line."""
        self._settings = settings
        self._report = report
        self._decoder = decoder or DecoderProcess()
        self._engine: FaceEngine | None = None
        # One thread: the networks are not shared, and their own threads fill the cores.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="examiner")

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings; known before ``open``."""
        return embedding_space(self._settings)

    @cached_property
    def descriptor(self) -> Descriptor:
        """What its imprints are; known before ``open``.

        Raises:
            BadInput, Unready: As ``copy_descriptor.described`` says.
        """
        return described(self._settings)

    async def open(self) -> Self:
        """Load both networks, fetching their weights the first time.

        Raises:
            BadInput, Unready, WeightsUnusable: As ``FaceEngine.load`` says.
        """
        if self._engine is None:
            self._engine = await self._run(self._load)
            self.space = self._engine.space
        return self

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order."""
        engine = self._opened()
        return await self._run(lambda: engine.examine(encoded))

    async def look_again(self, sightings: Sequence[Sighting]) -> list[Sighting]:
        """Return the same, in order, with every rough face embedded in 32-bit floats."""
        engine = self._opened()
        return await self._run(lambda: engine.look_again(sightings))

    async def describe(self, faces: Sequence[Face]) -> list[Look | None]:
        """Say how each face looks, in order; None where its landmarks are in no face."""
        engine = self._opened()
        return await self._run(lambda: engine.describe(faces))

    async def imprint(self, sightings: Sequence[Sighting]) -> list[Imprints]:
        """Return the imprints of each picture that was seen, in order."""
        engine = self._opened()
        return await self._run(lambda: engine.imprint(sightings))

    async def imprint_originals(self, encoded: Sequence[bytes]) -> list[Imprints | Undecodable]:
        """Return the imprints of each encoded image and of its mirror image, in order."""
        engine = self._opened()
        return await self._run(lambda: engine.imprint_originals(encoded))

    async def close(self) -> None:
        """Interrupt what is being decoded, wait for what is being examined, then let the networks go."""
        self._decoder.interrupt()
        await asyncio.to_thread(self._executor.shutdown)
        self._decoder.close()
        self._engine = None

    def _opened(self) -> FaceEngine:
        if self._engine is None:
            raise Unready("expected an open examiner, got one that is not; await its open() first")
        return self._engine

    def _load(self) -> FaceEngine:
        # By this thread, which lives as long as the examiner: Linux ends a child with the thread that started it.
        self._decoder.start()
        return FaceEngine.load(self._settings, self._report, self._decoder.decode)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
