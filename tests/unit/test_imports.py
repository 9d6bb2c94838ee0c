"""What a worker must not wait for at its start, and has no use for in its memory."""

import subprocess
import sys

import pytest


@pytest.mark.parametrize("module", ["streams.cli.main", "streams.cli.wiring.services", "streams.runtime.worker"])
def test_nothing_that_a_worker_imports_brings_the_libraries_of_a_calibration(module):
    code = f"import sys, {module}; print([n for n in ('scipy', 'sklearn') if n in sys.modules])"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
