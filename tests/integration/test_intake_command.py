"""``likeness intake`` as a process: it serves while Kafka is down, ends when told to, and is not open to everybody."""

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streams.adapters.ledger.database import Database
from streams.adapters.ledger.samples import SqlLedger
from streams.cli.main import main
from streams.client import Intake
from streams.core.ids import generated_sample_id
from streams.testing.messages import request

ONE = generated_sample_id("shop", "r-1", 0)


@asynccontextmanager
async def listening(data_dir: Path, **env: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """Start it on a free port; gives the process and its address."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "streams.cli.main", "intake", "--listen", "127.0.0.1:0"),
        env={**os.environ, "LIKENESS_DATA_DIR": str(data_dir), **env},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    try:
        async with asyncio.timeout(60):
            said = (await process.stdout.readline()).decode()
            assert said.startswith("listening on http://127.0.0.1:"), said
            yield process, said.split()[-1]
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.fixture
def addresses(tmp_path: Path, unused_tcp_port_factory: Callable[[], int]) -> dict[str, str]:
    """A ledger, and a Kafka that is down."""
    return {
        "LIKENESS_KAFKA": f"127.0.0.1:{unused_tcp_port_factory()}",
        "LIKENESS_LEDGER": f"sqlite:///{tmp_path}/ledger.db",
    }


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_it_acknowledges_while_kafka_is_down_and_ends_in_order(tmp_path, addresses, number):
    async with listening(tmp_path, **addresses) as (process, url):
        async with Intake(url) as intake:
            assert await intake.request(request()) == [ONE]
        process.send_signal(number)
        _, err = await process.communicate()

    assert process.returncode == 0
    assert b"Traceback" not in err
    assert b"Unclosed" not in err
    database = Database(addresses["LIKENESS_LEDGER"])
    assert ONE in await SqlLedger(database).registered([ONE])
    await database.close()


async def test_what_was_acknowledged_is_there_after_a_kill(tmp_path, addresses):
    async with listening(tmp_path, **addresses) as (process, url):
        async with Intake(url) as intake:
            await intake.request(request(count=3))
        process.kill()

    async with listening(tmp_path, **addresses) as (_, url), Intake(url) as intake:
        standing = await intake.sample(ONE)
        assert standing is not None
        assert standing.state == "in_flight"


def test_it_listens_beyond_this_machine_only_with_a_token(capsys, monkeypatch, tmp_path):
    monkeypatch.setenv("LIKENESS_DATA_DIR", str(tmp_path))
    for listen in ("0.0.0.0:0", "[::]:0", "some.host:80", "10.0.0.1:80"):
        assert "LIKENESS_INTAKE_TOKEN" in refused(capsys, listen)
    monkeypatch.setenv("LIKENESS_INTAKE_TOKEN", "open")
    assert "likeness up" in refused(capsys, "0.0.0.0:0")  # it goes on, and finds no parts
    for listen in ("127.0.0.1:0", "[::1]:0", "localhost:0"):
        monkeypatch.delenv("LIKENESS_INTAKE_TOKEN", raising=False)
        assert "likeness up" in refused(capsys, listen)


@pytest.mark.parametrize("listen", ["8080", ":8080", "127.0.0.1", "127.0.0.1:http", "127.0.0.1:65536"])
def test_a_place_to_listen_that_is_none_is_refused(capsys, listen):
    assert "expected --listen HOST:PORT" in refused(capsys, listen)


def test_a_ledger_that_cannot_be_used_ends_it(capsys, monkeypatch, addresses, tmp_path):
    (tmp_path / "ledger.db").write_bytes(b"this is no database, and long enough to be told from one" * 20)
    for name, value in addresses.items():
        monkeypatch.setenv(name, value)

    with pytest.raises(SystemExit) as ended:
        main(["intake", "--listen", "127.0.0.1:0"])

    assert ended.value.code == 2
    assert "LIKENESS_LEDGER" in capsys.readouterr().err


def refused(capsys: pytest.CaptureFixture[str], listen: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main(["intake", "--listen", listen])
    assert ended.value.code == 2
    return capsys.readouterr().err
