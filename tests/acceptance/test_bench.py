"""The bench runs: that its numbers mean something is seen by reading them, that there are some is seen here."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streams.adapters.facenet_weights import load_embedder
from streams.cli.wiring import fetch_weights
from streams.embedded import doctor, kafka_jars
from streams.errors import PartFailed, Unready, WeightsUnusable
from streams.settings import Settings
from tests.absent import absent

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _there() -> None:
    """A laptop may lack a real part, the machine that guards the main branch may not."""
    missing = [
        f"{report.part}: {report.advice}" for report in asyncio.run(doctor.examine(Settings())) if not report.installed
    ]
    try:
        if not missing:
            kafka_jars.fetch(Settings().cache_dir, print, threading.Event())
            fetch_weights(Settings().cache_dir, print)
            load_embedder(Settings(), print)
    except (PartFailed, Unready, WeightsUnusable) as error:
        missing.append(str(error))
    if missing:
        absent("; ".join(missing))


def test_the_bench_measures_the_road_and_the_bare_engine_and_leaves_nothing(tmp_path: Path):
    written = tmp_path / "road.json"
    command = [sys.executable, "-m", "tests.bench.road", "--samples", "48", "--rounds", "1", "--json"]

    done = subprocess.run(
        [*command, "--output", str(written)],
        cwd=ROOT,
        env={**os.environ, "LIKENESS_DATA_DIR": str(tmp_path / "data")},
        capture_output=True,
        text=True,
        timeout=540,
        check=False,
    )

    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert json.loads(written.read_text()) == result
    road, bare = result["road"], result["bare"]
    assert (len(road["rounds"]), len(bare["rounds"])) == (1, 2)
    assert min(road["rounds"] + bare["rounds"]) > 0
    assert result["ratio"]["of_medians"] == pytest.approx(road["median"] / bare["median"], abs=0.002)
    assert result["batch"]["examiner.examine"]["calls"] == 1
    assert sum(row["ms"] for name, row in result["batch"].items() if name != "in all") == pytest.approx(
        result["batch"]["in all"]["ms"], rel=0.05
    )
    assert (result["samples"], result["machine"]["cores"]) == (48, len(os.sched_getaffinity(0)))
    assert list((tmp_path / "data").iterdir()) == []
