"""What the fault runner itself rests on: its proxy, its orders, its schedule, and its sums."""

import asyncio
import random
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from streams.embedded.loopback import HOST, free_ports
from tests.faults import report
from tests.faults.kinds.fault import Happened
from tests.faults.kinds.workers import crashes
from tests.faults.manifest import Asked, Manifest, Poisoned, Trained
from tests.faults.phase import Outcome
from tests.faults.plans import of_one_broker
from tests.faults.results import ANOMALIES, Results, classes
from tests.faults.road.crew import until
from tests.faults.road.orders import CRASH_STATUS, Desk, Order, Orders
from tests.faults.road.policies import PolicyFile
from tests.faults.road.proxy import Proxy
from tests.faults.road.traffic import Traffic
from tests.faults.schedule import drawn


@asynccontextmanager
async def echoing() -> AsyncIterator[Proxy]:
    """A proxy in front of a server that says everything once more."""

    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while piece := await reader.read(1000):
            writer.write(piece)
            await writer.drain()
        writer.close()

    before, behind = free_ports(2)
    server = await asyncio.start_server(echo, HOST, behind)
    async with server, Proxy(before, behind, draw=random.Random(1)).running() as proxy:
        yield proxy


async def said(proxy: Proxy, text: bytes, seconds: float = 10.0) -> bytes:
    """Say something through the proxy on a connection of its own; return what comes back."""
    reader, writer = await asyncio.open_connection(HOST, proxy.port)
    try:
        writer.write(text)
        async with asyncio.timeout(seconds):
            return await reader.readexactly(len(text))
    finally:
        writer.close()


async def test_a_proxy_passes_everything_until_it_is_told_otherwise():
    async with echoing() as proxy:
        text = random.Random(1).randbytes(1_000_000)
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(text)
        assert await reader.readexactly(len(text)) == text
        writer.close()


async def test_a_cut_ends_every_connection_and_lets_none_in_until_it_is_over():
    async with echoing() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"hello")
        await reader.readexactly(5)
        async with proxy.cut():
            with pytest.raises(ConnectionError):
                assert await reader.read() == b"never"
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await said(proxy, b"hello")
        writer.close()
        assert await said(proxy, b"hello") == b"hello"


@pytest.mark.parametrize("forgotten", [False, True])
async def test_what_hangs_goes_on_afterwards_unless_it_was_forgotten(forgotten):
    async with echoing() as proxy:
        reader, writer = await asyncio.open_connection(HOST, proxy.port)
        writer.write(b"one")
        await reader.readexactly(3)
        async with proxy.hung(forgotten=forgotten):
            writer.write(b"two")
            with pytest.raises(TimeoutError):
                await said(proxy, b"hello", seconds=0.1)
        if forgotten:
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await reader.readexactly(3)
        else:
            assert await reader.readexactly(3) == b"two"
        writer.close()


async def test_a_torn_connection_is_reset_in_the_middle_of_what_it_carries():
    async with echoing() as proxy, proxy.tearing(1.0):
        with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
            await said(proxy, b"hello")


def test_an_order_is_done_once_by_the_first_that_passes_its_point_often_enough(tmp_path):
    desk, order = Desk(tmp_path), Order("judge", "decided", skip=2, block_seconds=1e-9)
    first, second = Orders(tmp_path, "judge"), Orders(tmp_path, "judge")
    desk.give(order)
    for _ in range(2):
        first.passed("decided")
        second.passed("decided")
        second.passed("noted")
    assert not desk.done(order)
    first.passed("decided")
    assert desk.done(order)


def test_an_order_that_is_withdrawn_is_done_by_nobody_not_even_by_who_has_taken_it(tmp_path):
    desk, order, worker = Desk(tmp_path), Order("judge", "decided", skip=1), Orders(tmp_path, "judge")
    desk.give(order)
    worker.passed("decided")
    desk.withdraw(order)
    worker.passed("decided")  # or this process would have ended
    assert list(tmp_path.iterdir()) == []


def test_an_order_to_crash_ends_the_process_at_once(tmp_path):
    Desk(tmp_path).give(Order("judge", "decided"))
    text = (
        f"import atexit, pathlib; from tests.faults.road.orders import Orders; atexit.register(print, 'in order');"
        f" Orders(pathlib.Path({str(tmp_path)!r}), 'judge').passed('decided'); print('alive')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", text], cwd=Path(__file__).parents[2], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout) == (CRASH_STATUS, "")


def test_a_schedule_has_every_fault_once_before_any_again_and_repeats_with_its_seed():
    kinds = of_one_broker()
    once = list(drawn(kinds, random.Random(3), for_ever=False))
    assert sorted(fault.name for fault in once) == sorted(kind.fault.name for kind in kinds)
    again = drawn(kinds, random.Random(3), for_ever=True)
    assert [next(again) for _ in once] == once
    assert {crash.name for crash in crashes()} < {fault.name for fault in once}


def test_every_fault_has_a_name_of_its_own():
    names = [kind.fault.name for kind in of_one_broker()]
    assert len(names) == len(set(names))


def test_a_policy_that_is_flipped_is_another_one_and_its_version_is_kept(tmp_path):
    policy = PolicyFile(tmp_path / "policy.toml")
    texts = {policy.path.read_text()}
    for _ in range(2):
        policy.flip()
        texts.add(policy.path.read_text())
    assert len(texts) == len(set(policy.versions)) == 3


def test_a_manifest_is_read_as_it_was_written_and_counts_what_was_acknowledged(tmp_path):
    manifest = Manifest("k:1", "sqlite://", "/i", "http://m:1", "g", policies=["v"])
    manifest.asked = [Asked("s", "r-1", "anna", "m", 3, acknowledged=True), Asked("s", "r-2", "anna", "m", 5)]
    manifest.training = [Trained("run", 1, 2, "anna", "m", acknowledged=True)]
    manifest.poison = [Poisoned("p", "t", "dead", ["not-json"], 1, 7)]
    manifest.write(tmp_path / "manifest.json")
    assert Manifest.read(tmp_path / "manifest.json") == manifest
    assert manifest.samples == 4


class Waves(Traffic):
    """Asks nobody: every wave counts as taken by a broker that gives no answers."""

    async def wave(self) -> None:
        self.manifest.asked.append(Asked("s", f"r-{len(self.manifest.asked)}", "anna", "m", 1, acknowledged=True))


async def test_more_comes_in_than_is_kept_on_its_way_only_while_somebody_waits_for_it():
    manifest = Manifest("k:1", "sqlite://", "/i", "http://m:1", "g")
    traffic = Waves("k:1", manifest, "s", ["anna"], "bert", [], iter(()), lambda: 0, random.Random(1), waiting=2)
    flow = asyncio.create_task(traffic.flow())
    try:
        async with asyncio.timeout(10):
            await until(lambda: manifest.samples == 2, "as much is on its way as is kept there")
            traffic.urgent += 2
            traffic.urgent -= 1  # another one still waits
            await until(lambda: manifest.samples == 6, "three times as much is on its way")
    finally:
        flow.cancel()
        await asyncio.gather(flow, return_exceptions=True)
    assert manifest.samples == 6


def outcome(**checked: object) -> Outcome:
    happened = [
        Happened("kill", 0, 1, recovered_seconds=2.0),
        Happened("kill", 5, 6, recovered_seconds=4.0, alone=False),
        Happened("kill", 8, 9, failed="Unmet: it did not come"),
    ]
    whole = {"sound": True, "samples": 90, "records": 100, "duplicates": 10, **dict.fromkeys(ANOMALIES, 0)}
    return Outcome("one", 60.0, True, whole | checked, happened, [1.5], {"judge": 2**30}, [], {"137": 2}, 3, 4)


def test_recovery_is_told_of_all_faults_and_of_those_beside_which_nothing_else_was_broken():
    assert classes(outcome().happened) == {
        "kill": {
            "count": 2,
            "failed": 1,
            "recovery_seconds": {"n": 2, "p50": 3.0, "p95": 4.0, "max": 4.0},
            "recovery_seconds_alone": {"n": 1, "p50": 2.0, "p95": 2.0, "max": 2.0},
        }
    }


MACHINE = {
    "system": "s",
    "processor": "p",
    "cores": 2,
    "memory_gib": 4,
    "load_before": 0.1,
    "python": "3.11",
    "versions": {},
}


@pytest.mark.parametrize("anomaly", ["lost", "conflicting", "unordered_commit"])
def test_one_anomaly_makes_a_run_unsound_and_stands_in_the_report(anomaly):
    clean = Results(7, "short", MACHINE, [outcome()])
    assert clean.sound
    found = Results(7, "short", MACHINE, [outcome(sound=False, **{anomaly: 1})])
    assert not found.sound
    assert found.as_dict()[anomaly] == 1
    assert "| **1** of 90 |" in report.markdown(found.as_dict())
    assert "**1**" not in report.markdown(clean.as_dict())


@pytest.mark.parametrize(
    "change",
    [
        {"outcomes": []},
        {"broken": ["it was told to stop"]},
        {"mutations": {"mutations": 2, "mutations_caught": 1}},
        {"mutations": {"controls": 2, "controls_clean": 1}},
    ],
)
def test_a_run_that_did_not_come_to_its_end_or_missed_a_mutation_is_not_sound(change):
    assert not Results(**{"seed": 7, "kind": "short", "machine": MACHINE, "outcomes": [outcome()]} | change).sound
