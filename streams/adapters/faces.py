"""The examiner of a worker: the face engine on one thread of its own, off the event loop."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from typing import Self, TypeVar

from streams.adapters.face_engine import FaceEngine, embedding_space
from streams.core.faces import EmbeddingSpace, Examined
from streams.errors import Unready
from streams.settings import Settings
from streams.wheels import Report, silent

T = TypeVar("T")


class TorchExaminer:
    """Examines with torch in this process. Implements the port ``Examiner``."""

    def __init__(self, settings: Settings, report: Report = silent) -> None:
        """Take the settings; ``open`` does the work and reports on it line by line."""
        self._settings = settings
        self._report = report
        self._engine: FaceEngine | None = None
        # One thread: the networks are not shared, and their own threads fill the cores.
        self._executor = ThreadPoolExecutor(1, thread_name_prefix="examiner")

    @cached_property
    def space(self) -> EmbeddingSpace:
        """The space of the embeddings; known before ``open``."""
        return embedding_space(self._settings)

    async def open(self) -> Self:
        """Load both networks, fetching their weights the first time.

        Raises:
            BadInput, Unready, WeightsUnusable: As ``load_embedder`` says.
        """
        if self._engine is None:
            self._engine = await self._run(lambda: FaceEngine.load(self._settings, self._report))
            self.space = self._engine.space
        return self

    async def examine(self, encoded: Sequence[bytes]) -> list[Examined]:
        """Say of each encoded image what is in it, in order."""
        engine = self._engine
        if engine is None:
            raise Unready("expected an open examiner, got one that is not; await its open() first")
        return await self._run(lambda: engine.examine(encoded))

    async def close(self) -> None:
        """Wait for what is being examined, then let the networks go."""
        await asyncio.to_thread(self._executor.shutdown)
        self._engine = None

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._executor, work)
