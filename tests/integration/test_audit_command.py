"""``likeness audit`` as a process: what it prints, writes and serves, and how it ends."""

import asyncio
import json
import os
import signal
import sys
import urllib.request
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.core.ledger import Registration

DEADLINE = 60


@pytest.fixture
async def env(kafka_with_topics: str, ledger_folder: Path, tmp_path: Path) -> dict[str, str]:
    """Settings of a ledger with one sample that has been in flight for two hours, and one for a minute."""
    url = f"sqlite:///{ledger_folder}/ledger.db"
    database = Database(url)
    await database.open()
    ages = (timedelta(hours=2), timedelta(minutes=1))
    rows = [Registration(f"{n:032x}", "message", b"?", datetime.now(UTC) - age) for n, age in enumerate(ages)]
    await SqlLedger(database).register([[row] for row in rows])
    await database.close()
    own = {"LIKENESS_KAFKA": kafka_with_topics, "LIKENESS_LEDGER": url, "LIKENESS_DATA_DIR": str(tmp_path)}
    return {**os.environ, **own, "COLUMNS": "150"}


@asynccontextmanager
async def auditing(env: dict[str, str], *arguments: str) -> AsyncIterator[asyncio.subprocess.Process]:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams.cli.main", "audit", *arguments),
        env=env,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        async with asyncio.timeout(DEADLINE):
            yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


async def audited(env: dict[str, str], *arguments: str) -> tuple[int, str, str]:
    async with auditing(env, *arguments) as process:
        out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()


async def test_a_sample_in_flight_for_too_long_is_unaccounted_for_by_the_hour_and_in_the_exit_status(env, tmp_path):
    path = tmp_path / "likeness.prom"
    status, out, _ = await audited(env, "--json", "--prometheus", str(path))
    found = json.loads(out)
    assert status == 1
    assert (found["requested"], found["in_flight"], found["overdue"], found["unaccounted"]) == (2, 2, 1, 1)
    assert (found["balanced"], found["sound"], found["settled"]) == (True, False, False)
    assert sum(hour["requested"] for hour in found["hours"]) == 2
    assert found["hours"][0]["unaccounted"] == 1
    assert "likeness_unaccounted_samples 1.0\n" in path.read_text()


async def test_how_long_is_too_long_can_be_said(env):
    status, out, _ = await audited(env, "--overdue", "86400")
    assert status == 0
    assert "everything adds up" in out
    assert "By the hour of registration (UTC)" in out
    status, out, _ = await audited(env, "--overdue", "30", "--json")
    assert (status, json.loads(out)["overdue"]) == (1, 2)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_goes_on_and_serves_what_it_counted_until_it_is_told_to_end(env, unused_tcp_port, number):
    listen = f"127.0.0.1:{unused_tcp_port}"
    async with auditing(env, "--every", "1", "--listen", listen, "--json") as process:
        assert process.stdout is not None
        first, second = [json.loads(await process.stdout.readline()) for _ in range(2)]
        answer = await asyncio.to_thread(urllib.request.urlopen, f"http://{listen}/metrics", None, 30)
        with answer:
            served = answer.read().decode()
        process.send_signal(number)
        _, err = await process.communicate()
    assert first == second
    assert "likeness_unaccounted_samples 1.0\n" in served
    assert 'likeness_samples{state="in_flight"} 2.0\n' in served
    assert process.returncode == 0
    assert "Traceback" not in err.decode()


async def test_it_goes_on_while_the_ledger_is_away_and_counts_that(env, ledger_folder, unused_tcp_port):
    (ledger_folder / "ledger.db").rename(ledger_folder / "elsewhere.db")
    listen = f"127.0.0.1:{unused_tcp_port}"
    async with auditing(env, "--every", "1", "--listen", listen, "--json") as process:
        assert process.stdout is not None
        assert process.stderr is not None
        while b"ledger is unavailable" not in (line := await process.stderr.readline()):
            assert line
        (ledger_folder / "elsewhere.db").rename(ledger_folder / "ledger.db")
        assert json.loads(await process.stdout.readline())["requested"] == 2
        answer = await asyncio.to_thread(urllib.request.urlopen, f"http://{listen}/metrics", None, 30)
        with answer:
            served = answer.read().decode()
    assert "likeness_audit_failures_total 0.0\n" not in served
    assert "likeness_requested_samples 2.0\n" in served


async def test_who_listens_must_go_on(env):
    status, out, err = await audited(env, "--listen", "127.0.0.1:1")
    assert (status, out) == (2, "")
    assert "--every" in err
