"""A program beside the bench that answers every line with a line of JSON."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from streams.errors import Unready

#: How long one answer may take, the first one with the import of libraries and the tracing of networks.
ANSWER_SECONDS = 300.0


class Child:
    """Such a program, while it runs."""

    def __init__(self, name: str, process: asyncio.subprocess.Process, log: Path) -> None:
        """Take what messages call it, the process, and the file that has what it says beside its answers."""
        self._name, self._process, self._log = name, process, log

    async def ask(self, line: str) -> dict[str, Any]:
        """Return the answer to a line.

        Raises:
            Unready: As ``answer`` says.
        """
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        return await self.answer()

    async def answer(self) -> dict[str, Any]:
        """Return the next answer.

        Raises:
            Unready: If the process ends instead, or says nothing for minutes.
        """
        assert self._process.stdout is not None
        try:
            line = await asyncio.wait_for(self._process.stdout.readline(), ANSWER_SECONDS)
        except TimeoutError:
            line = b""
        if not line:
            last = self._log.read_text(errors="replace").strip().splitlines()[-1:] or ["nothing"]
            raise Unready(f"expected an answer of {self._name}, got none; the last that it said: {last[0]}")
        found: dict[str, Any] = json.loads(line)
        return found


@asynccontextmanager
async def child(name: str, command: Sequence[str], environment: Mapping[str, str], log: Path) -> AsyncIterator[Child]:
    """Run such a program until leaving; entered when it has said its first line, which says that it is ready.

    Raises:
        Unready: If it does not start.
    """
    with log.open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=said,
            env=environment,
        )
    try:
        running = Child(name, process, log)
        await running.answer()
        yield running
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()
