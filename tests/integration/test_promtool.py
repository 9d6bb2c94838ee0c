"""Prometheus' own tool takes the configuration and the alerts, and the alerts speak when they should."""

import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent
FOLDER = HERE.parents[1] / "ops" / "prometheus"


@pytest.mark.parametrize(
    "arguments",
    [
        ("check", "config", str(FOLDER / "scrape.yml")),
        ("check", "rules", str(FOLDER / "alerts.yml")),
        ("test", "rules", str(HERE / "alerts_rules.yml")),
    ],
    ids=["configuration", "alerts", "when alerts speak"],
)
def test_promtool_finds_nothing_wrong(arguments):
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed (it comes with Prometheus, not from PyPI): the alerts were not run")
    done = subprocess.run([promtool, *arguments], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
