"""Judges the step's samples in a process of its own, over and over.

A line ``onnxruntime fp32`` on standard input has it judge all samples with this engine and precision; a line of JSON
says how many these were. The settings are the environment's.
"""

import asyncio
import json
import os
import sys
from contextlib import AsyncExitStack
from dataclasses import replace

from streams.ports import Services
from streams.settings import Settings
from tests.bench.stage import BATCH, IDENTITIES, TOGETHER, judged, opened, peopled, samples


def _told(line: str) -> None:
    print(line, file=sys.stderr)


async def main() -> None:
    """Answer until standard input ends."""
    answers = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)  # what libraries print must not be taken for an answer
    settings, ready = Settings(), dict[str, Services]()
    async with AsyncExitStack() as stack:
        services = await stack.enter_async_context(peopled(settings, IDENTITIES, _told))
        drawn = await samples(services, TOGETHER)
        answers.write(json.dumps({"ready": True}) + "\n")
        for line in sys.stdin:
            if line not in ready:
                engine, precision = line.split()
                examiner = await opened(
                    settings.model_copy(update={"engine": engine, "precision": precision}), stack, _told
                )
                ready[line] = replace(services, examiner=examiner)
            for start in range(0, len(drawn), BATCH):
                await judged(ready[line], drawn[start : start + BATCH])
            answers.write(json.dumps({"judged": len(drawn)}) + "\n")


if __name__ == "__main__":
    asyncio.run(main())
