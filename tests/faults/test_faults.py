"""Every fault once, on the whole road: what ``make faults`` does, and what must come of it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import psutil
import pytest

from streams.runtime.worker import STOP_SECONDS
from tests.absent import absent
from tests.faults.kinds.wipe import Wiped
from tests.faults.plans import of_one_broker, of_three_brokers
from tests.faults.results import ANOMALIES
from tests.faults.road.crew import REPOSITORY

#: A run that has not ended by then never will.
HANGS_SECONDS = 1500

#: A line of the run's log that says no more than that a fault was done.
_DONE = re.compile(r" s\) \[\d+/\d+\]$")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the run has everything."""
    return tmp_path_factory.mktemp("faults")


@pytest.fixture(scope="module")
def result(folder: Path) -> dict[str, Any]:
    """What the run says of itself."""
    log = folder / "log.txt"
    command = [sys.executable, "-m", "tests.faults", "--json", "--folder", str(folder / "run")]
    own = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    with log.open("wb") as stderr:
        ended = subprocess.run(
            command, cwd=REPOSITORY, env=own, stdout=subprocess.PIPE, stderr=stderr, timeout=HANGS_SECONDS, check=False
        )
    print(*(line for line in log.read_text().splitlines() if not _DONE.search(line)), sep="\n")
    assert ended.stdout, "the run has said nothing"
    found: dict[str, Any] = json.loads(ended.stdout)
    if not found["phases"] and any(one.startswith(("Unready", "PartFailed")) for one in found["broken"]):
        absent("; ".join(found["broken"]))
    return found


def test_a_run_under_every_fault_comes_to_its_end(result: dict[str, Any]):
    assert result["broken"] == []
    assert result["settled"]


@pytest.mark.parametrize("anomaly", ANOMALIES)
def test_no_fault_leads_to_an_anomaly(result: dict[str, Any], anomaly: str):
    told = [case for phase in result["phases"] for case in phase.get("anomalies", {}).get(anomaly, [])]
    assert (result[anomaly], told) == (0, [])


def test_every_fault_is_done_and_nearly_all_meet_what_they_were_meant_for(result: dict[str, Any]):
    kinds = [*of_one_broker(), *of_three_brokers(None)]
    planned = {Wiped.name, *(kind.fault.name for kind in kinds)}
    # On a slow machine a crash point may not be passed in time: that says nothing of the road, if it is rare.
    assert len(result["failed_faults"]) <= result["faults"] // 20, result["failed_faults"]
    assert planned <= set(result["classes"])
    assert result["samples"] > result["faults"]


def test_workers_that_are_told_to_stop_end_in_time_and_in_order(result: dict[str, Any]):
    assert result["oddities"] == []
    assert result["sigterm_seconds"]["max"] < STOP_SECONDS + 5


def test_every_broken_promise_is_caught_and_the_whole_worker_raises_no_false_alarm(result: dict[str, Any]):
    assert [one for one in result["trials"] if not one["as_it_should_be"]] == []
    assert result["mutations_caught"] == result["mutations"] > 0
    assert result["controls_clean"] == result["controls"] > 0


def test_the_run_leaves_nothing_running(result: dict[str, Any], folder: Path):
    del result
    assert [process for process in psutil.process_iter(["cmdline"]) if _works_in(folder, process)] == []


def _works_in(folder: Path, process: psutil.Process) -> bool:
    return any(str(folder / "run") in argument for argument in process.info["cmdline"] or ())
