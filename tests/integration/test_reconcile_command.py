"""``likeness worker --role reconcile`` as a process: it waits for what is down, and ends when it is told to."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest


@asynccontextmanager
async def reconciling(data_dir: Path, **env: str) -> AsyncIterator[asyncio.subprocess.Process]:
    argv = ["worker", "--role", "reconcile", "--unsupervised"]
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams.cli.main", *argv),
        env={**os.environ, "LIKENESS_DATA_DIR": str(data_dir), **env},
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(60):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def said(process: asyncio.subprocess.Process, words: str) -> None:
    assert process.stderr is not None
    while words not in (line := (await process.stderr.readline()).decode()):
        assert line, f"it ended without a word of {words!r}"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_waits_for_a_kafka_that_is_down_and_ends_in_order(tmp_path, unused_tcp_port, number):
    address = {"LIKENESS_KAFKA": f"127.0.0.1:{unused_tcp_port}", "LIKENESS_LEDGER": f"sqlite:///{tmp_path}/ledger.db"}
    async with reconciling(tmp_path, **address) as process:
        await said(process, "kafka is unavailable")
        process.send_signal(number)
        _, rest = await process.communicate()

    assert process.returncode == 0
    assert b"Traceback" not in rest
    assert b"Unclosed" not in rest


async def test_it_waits_for_parts_that_do_not_run_yet_and_needs_kafka_and_the_ledger_alone(tmp_path):
    async with reconciling(tmp_path) as process:
        await said(process, "set LIKENESS_KAFKA, LIKENESS_LEDGER; waiting for it")
        process.send_signal(signal.SIGTERM)

        assert await process.wait() == 0
