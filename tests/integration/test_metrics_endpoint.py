"""Metrics as Prometheus gets them: over HTTP, from one process, for all its workers, through their deaths."""

import asyncio
import os
import socket
import sys
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import psutil
import pytest
from prometheus_client.parser import text_string_to_metric_families

from streams.client import Publisher
from streams.errors import BadInput
from streams.processes.child import Child
from streams.runtime.metrics import metered, overseen
from streams.runtime.oversight import PrometheusOversight
from streams.runtime.supervisor import Supervisor
from streams.settings import Settings
from streams.testing.images import picture, png

STAND_IN = Path(__file__).with_name("stand_in_worker.py")
#: Notes some things, every worker the same, then waits to be ended.
NOTES = """
import sys, time
from streams.runtime.metrics import metered
from streams.settings import Settings

with metered(Settings(), sys.argv[1], ["milvus", "triton"]) as metrics:
    metrics.driven_again(5)
    metrics.waiting({"training.samples": 3})
    metrics.failed("milvus", 7, breaker_open=True)
    time.sleep(600)
"""
ANYWHERE = "127.0.0.1:0"


def read(address: str) -> dict[str, float]:
    """Return every sample that is served, as ``name{label=value,…}``."""
    with urllib.request.urlopen(f"http://{address}/metrics", timeout=30) as answer:
        families = text_string_to_metric_families(answer.read().decode())
        samples = [sample for family in families for sample in family.samples]
    return {
        f"{one.name}{{{','.join(f'{k}={v}' for k, v in sorted(one.labels.items()))}}}": one.value for one in samples
    }


async def until(oversight: PrometheusOversight, holds: Callable[[dict[str, float]], bool]) -> dict[str, float]:
    """Ask until it holds; return what was served then."""
    deadline = asyncio.get_running_loop().time() + 60
    while True:
        assert asyncio.get_running_loop().time() < deadline
        if oversight.address and holds(served := await asyncio.to_thread(read, oversight.address)):
            return served
        await asyncio.sleep(0.05)


@asynccontextmanager
async def supervised(
    folder: Path, command: Callable[[str], list[str]], *roles: str, workers: int = 1, **env: str
) -> AsyncIterator[tuple[Supervisor, PrometheusOversight]]:
    settings = Settings(metrics=ANYWHERE, data_dir=folder)
    oversight = overseen(settings)
    assert isinstance(oversight, PrometheusOversight)
    own = {"LIKENESS_METRICS": ANYWHERE, "LIKENESS_DATA_DIR": str(folder)}
    supervisor = Supervisor(
        roles,
        workers=workers,
        env={**os.environ, **own, **env},
        log_dir=folder / "logs",
        command=command,
        oversight=oversight,
    )
    stopping = asyncio.Event()
    running = asyncio.create_task(supervisor.run(stopping))
    try:
        yield supervisor, oversight
    finally:
        stopping.set()
        await running


def notes(role: str) -> list[str]:
    return [sys.executable, "-c", NOTES, role]


def child(supervisor: Supervisor, slot: int) -> Child:
    found = supervisor.slots[slot].child
    assert found is not None
    return found


async def test_what_all_workers_note_is_served_as_one_by_role(tmp_path):
    stale = tmp_path / "metrics" / "0" / "judge-9"
    stale.mkdir(parents=True)
    (stale / "counter_worker.db").write_bytes(b"left by another supervisor")
    driven = "likeness_reconciler_messages_driven_again_total{role=%s}"
    async with supervised(tmp_path, notes, "generate", "judge", workers=2) as (_, oversight):
        served = await until(oversight, lambda told: told.get(driven % "judge") == told.get(driven % "generate") == 10)
    for role in ("generate", "judge"):
        assert served[f"likeness_workers{{role={role}}}"] == 2
        assert served[f"likeness_worker_restarts_total{{role={role}}}"] == 0
        assert served[f"likeness_messages_waiting{{role={role},topic=training.samples}}"] == 6
        assert served[f"likeness_breaker_open{{dependency=milvus,role={role}}}"] == 1
        assert served[f"likeness_breaker_open{{dependency=triton,role={role}}}"] == 0
        assert served[f"likeness_dependency_failures_in_a_row{{dependency=milvus,role={role}}}"] == 7
    assert not any("pid=" in name for name in served)


async def test_the_counts_of_a_worker_that_was_killed_go_on_and_what_it_waited_for_is_forgotten(tmp_path):
    driven, opened = (
        "likeness_reconciler_messages_driven_again_total{role=judge}",
        "likeness_breaker_open{dependency=milvus,role=judge}",
    )
    async with supervised(tmp_path, notes, "judge") as (supervisor, oversight):
        await until(oversight, lambda told: told.get(driven) == 5 and told.get(opened) == 1)
        supervisor.slots[0].pause = 5.0  # long enough to be seen while no worker runs
        pid = child(supervisor, 0).command_pid
        assert pid is not None
        psutil.Process(pid).kill()
        between = await until(oversight, lambda told: told["likeness_workers{role=judge}"] == 0)
        assert opened not in between
        assert between[driven] == 5
        assert between["likeness_worker_restarts_total{role=judge}"] == 1
        again = await until(oversight, lambda told: told.get(opened) == 1)
    assert again[driven] == 10
    assert again["likeness_workers{role=judge}"] == 1


async def test_a_supervisor_that_cannot_listen_says_so_and_starts_nobody(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        oversight = overseen(Settings(metrics=address, data_dir=tmp_path))
        supervisor = Supervisor(
            ["judge"], workers=1, env=os.environ, log_dir=tmp_path, command=notes, oversight=oversight
        )
        with pytest.raises(BadInput, match="take another port"):
            await supervisor.run(asyncio.Event())
    assert [slot.child for slot in supervisor.slots] == [None]


async def test_a_worker_without_a_supervisor_serves_its_metrics_itself(unused_tcp_port, tmp_path):
    settings = Settings(metrics=f"127.0.0.1:{unused_tcp_port}", data_dir=tmp_path)
    with metered(settings, "reconcile", ["kafka"]) as metrics:
        metrics.driven_again(3)
        served = await asyncio.to_thread(read, f"127.0.0.1:{unused_tcp_port}")
        assert served["likeness_reconciler_messages_driven_again_total{role=reconcile}"] == 3
        assert served["likeness_breaker_open{dependency=kafka,role=reconcile}"] == 0
        assert served["process_resident_memory_bytes{}"] > 0
        with pytest.raises(BadInput, match="take another port"), metered(settings, "judge", []):
            pass
    with pytest.raises(OSError, match="refused"):
        await asyncio.to_thread(read, f"127.0.0.1:{unused_tcp_port}")


async def test_where_metrics_are_off_their_library_is_not_imported():
    code = (
        "import sys, streams.runtime.worker, streams.runtime.supervisor; sys.exit('prometheus_client' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", code)
    assert await asyncio.wait_for(process.wait(), 60) == 0


async def test_two_judges_on_kafka_are_counted_together_and_through_a_kill(kafka_with_topics, tmp_path):
    env = {
        "LIKENESS_KAFKA": kafka_with_topics,
        "LIKENESS_LEDGER": f"sqlite:///{tmp_path}/ledger.db",
        "LIKENESS_IMAGES": str(tmp_path / "images"),
        "LIKENESS_GROUP": tmp_path.name,
        "LIKENESS_BATCH_SIZE": "4",
        "LIKENESS_SESSION_TIMEOUT_SECONDS": "6",
        "LIKENESS_STUCK_AFTER_SECONDS": "20",
    }
    accepted, waiting, read_ = (
        "likeness_samples_ended_total{reason=,role=judge,state=accepted}",
        "likeness_messages_waiting{role=judge,topic=training.samples}",
        "likeness_messages_read_total{role=judge,topic=training.samples}",
    )

    def stand_in(role: str) -> list[str]:
        return [sys.executable, str(STAND_IN), role, "works"]

    async def train(step: int, count: int) -> None:
        encoded = png(picture([1, 0, 0, 0, 0, 0, 0, 0]))
        async with Publisher(kafka_with_topics) as publisher:
            for index in range(count):
                await publisher.training_sample(
                    run_id="run", step=step, index=index, identity="anna", model="m", encoded=encoded
                )

    async with supervised(tmp_path, stand_in, "judge", workers=2, **env) as (supervisor, oversight):
        await train(1, 20)
        served = await until(oversight, lambda told: told.get(accepted, 0) >= 20 and told.get(waiting) == 0)
        assert served[read_] >= 20
        assert served["likeness_last_progress_timestamp_seconds{role=judge}"] > 1_600_000_000
        assert served["likeness_broker_reachable{role=judge}"] == 1
        assert served["likeness_call_seconds_count{call=examine,part=examiner,role=judge}"] >= 1
        assert served["likeness_batch_messages_sum{role=judge}"] == served[read_]
        pid = child(supervisor, 0).command_pid
        assert pid is not None
        psutil.Process(pid).kill()
        await train(2, 10)
        served = await until(oversight, lambda told: told.get(accepted, 0) >= 30)
        assert served["likeness_worker_restarts_total{role=judge}"] == 1
