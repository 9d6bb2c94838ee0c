"""The bench runs: that its numbers mean something is seen by reading them, that there are some is seen here."""

import asyncio
import json
import os
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from streams.adapters.facenet.weights import load_embedder
from streams.cli.wiring.services import fetch_weights
from streams.embedded import doctor, kafka_jars
from streams.errors import PartFailed, Unready, WeightsUnusable
from streams.settings import Settings
from tests.absent import absent
from tests.bench import suite
from tests.bench.expected import FIGURES
from tests.bench.page import markdown
from tests.bench.plot import plot

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


def test_the_bench_measures_every_ratio_of_one_configuration_and_leaves_nothing(tmp_path: Path):
    written = tmp_path / "bench.json"
    short = ["--quick", "--rounds", "1", "--samples", "96", "--configuration", "onnxruntime fp32"]
    parts = ["--only", "engines,step,workers,road"]

    done = subprocess.run(
        [sys.executable, "-m", "tests.bench", *short, *parts, "--json", "--output", str(written)],
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
    assert {name for name in FIGURES if result[name] is None} == set(result["reasons"])
    assert {"end_to_end_ratio", "step_per_s", "limit_share", "two_worker_ratio"}.isdisjoint(result["reasons"])
    parts_done = result["parts"]
    a_face = parts_done["engines"]["gflop_a_face"]
    assert a_face == pytest.approx(2.834, abs=0.001)  # Inception-ResNet-v1 at 160 x 160, by its layers
    embedding = parts_done["engines"]["configurations"]["onnxruntime fp32"]
    assert embedding["limit"] == pytest.approx(
        parts_done["engines"]["peak_gflops"]["fp32"]["gflops"] / a_face, rel=0.01
    )
    both = parts_done["workers"]
    assert both["ratio"] == pytest.approx(both["two"]["median"] / both["one"]["median"], abs=0.002)
    road, bare = parts_done["road"]["road"], parts_done["road"]["bare"]
    assert (len(road["rounds"]), len(bare["rounds"])) == (1, 2)
    assert result["one_worker_ratio"] == pytest.approx(road["median"] / bare["median"], abs=0.002)
    assert result["end_to_end_ratio"] == pytest.approx(both["two"]["median"] / both["bare"]["median"], abs=0.002)
    batch = parts_done["road"]["batch"]
    assert batch["examiner.examine"]["calls"] == 1
    calls = [row["ms"] for name, row in batch.items() if name != "in all"]
    # Some calls are made side by side: each is within the whole, and together they are no less than it.
    assert max(calls) <= batch["in all"]["ms"] <= sum(calls) + 0.1
    assert (parts_done["road"]["samples"], result["machine"]["cores"]) == (96, len(os.sched_getaffinity(0)))
    assert list((tmp_path / "data").iterdir()) == []
    page = markdown(result)
    assert f"| road, verdicts/s | {road['median']:.1f} |" in page
    assert "Not measured in this run." not in page
    assert "## Galleries that grow" not in page  # nobody asked for it
    plot(result, tmp_path / "performance.svg")
    assert "onnxruntime fp32" in (tmp_path / "performance.svg").read_text()


def test_what_was_not_measured_is_null_with_its_reason():
    figures = suite.figures({"step": None, "road": None}, {"step": "no such engine"})

    assert {name for name in FIGURES if figures[name] is None} == set(FIGURES) == set(figures["reasons"])
    assert figures["reasons"]["step_per_s"] == "no such engine"
    assert "not asked for" in figures["reasons"]["cosine_min"]
