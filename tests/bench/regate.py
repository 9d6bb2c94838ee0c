"""A regate against its file format: the command, the rule alone, pandas over the same columns, and reading and no more.

The command is a process of its own, from its start to its end, by the clock; so is the script of pandas beside it.
"""

import gc
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from streams.errors import PartFailed
from streams.settings import Settings
from streams.tools.rates.policy_file import policy_text
from streams.tools.recording.reader import Recording
from streams.tools.replay.regate import COLUMNS, regate
from streams.tools.replay.standing import as_recorded
from streams.wheels import Report
from tests.bench import memory_of, pandas_pass
from tests.bench.machine import Others
from tests.bench.recordings import A_PART, AFTER, BEGAN, recording_of


@dataclass(frozen=True)
class Done:
    """One time that it was done."""

    changed: int
    seconds: float
    busy: float
    """Seconds of all cores together."""
    others: float
    """Cores that other programs took meanwhile."""
    peak_mb: float = 0.0
    """The most memory of a process of its own; 0 where it had none."""


async def regate_part(settings: Settings, *, rounds: int, rows: int, report: Report) -> dict[str, Any]:
    """Measure a recording of so many samples, everything in turns."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as made:
        report(f"a recording of {rows} samples")
        folder = Path(made) / "recording"
        size = recording_of(folder, rows)
        measured = _in_turns(_work(folder, Path(made)), rounds, rows, report)
    return measured | {"rows": rows, "parts": -(-rows // A_PART), "bytes": size, "columns": len(COLUMNS)}


def _work(folder: Path, scratch: Path) -> dict[str, Callable[[], Done]]:
    recording, policy, limits = Recording(folder), scratch / "after.toml", AFTER.limits.model_dump()
    policy.write_text(policy_text(AFTER))
    standing = as_recorded(recording, BEGAN)
    command = ("streams.cli.main", "replay", "regate", str(folder), "--policy", str(policy), "--json")
    page = ("--report", str(scratch / "replay.html"))
    script = (pandas_pass.__name__, str(folder), json.dumps(limits))
    return {
        "command": lambda: _process((*command, "--no-report"), scratch),
        "report": lambda: _process((*command, *page), scratch),
        "script": lambda: _process(script, scratch),
        "regate": lambda: _here(lambda: regate(recording, AFTER, standing).tally.changed),
        "pandas": lambda: _here(lambda: pandas_pass.by_pandas(folder, limits)),
        "read": lambda: _here(lambda: sum(len(recording.table(part, COLUMNS)) for part in recording.parts)),
    }


def _here(do: Callable[[], int]) -> Done:
    gc.collect()
    others, began, busy = Others(), time.perf_counter(), time.process_time()
    changed = do()
    return Done(changed, time.perf_counter() - began, time.process_time() - busy, others.cores())


def _process(arguments: Sequence[str], scratch: Path) -> Done:
    """Run a module with these arguments, on parts of nobody."""
    memory = scratch / "memory"
    started = (sys.executable, "-m", memory_of.__name__, str(memory), *arguments)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("LIKENESS_")}
    environment["LIKENESS_DATA_DIR"] = str(scratch / "data")
    others, began = Others(), time.perf_counter()
    with (scratch / "said").open("wb") as said, (scratch / "log").open("wb") as log:
        process = subprocess.Popen(started, stdout=said, stderr=log, env=environment)
        _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    seconds, busy = time.perf_counter() - began, used.ru_utime + used.ru_stime
    if process.returncode:
        raise PartFailed(f"expected {arguments[0]} to end well, got {process.returncode}: {scratch / 'log'}")
    found = json.loads((scratch / "said").read_bytes())
    changed = found["changed"] if isinstance(found, dict) else found
    # What has ended counts among the others.
    return Done(changed, seconds, busy, max(0.0, others.cores() - busy / seconds), int(memory.read_text()) / 1024)


def _in_turns(work: dict[str, Callable[[], Done]], rounds: int, rows: int, report: Report) -> dict[str, Any]:
    done: dict[str, list[Done]] = {name: [] for name in work}
    for _ in range(rounds):
        for name, do in work.items():
            done[name].append(do())
            report(f"{name}: {rows / done[name][-1].seconds:,.0f} samples/s")
    clock = {name: statistics.median(one.seconds for one in each) for name, each in done.items()}
    cores = {name: statistics.median(one.busy for one in each) for name, each in done.items()}
    return {
        "per_core_second": {name: round(rows / seconds) for name, seconds in cores.items()},
        "samples_per_s": {name: round(rows / seconds) for name, seconds in clock.items()},
        "rounds": {name: [round(one.seconds, 3) for one in each] for name, each in done.items()},
        "peak_mb": {name: round(max(one.peak_mb for one in each)) for name, each in done.items() if each[0].peak_mb},
        "pandas_ratio": round(clock["script"] / clock["command"], 2),
        "pandas_core_ratio": round(cores["script"] / cores["command"], 2),
        "read_share": round(cores["read"] / cores["command"], 3),
        "changed": done["command"][-1].changed,
        "others_cores": [round(max(one.others for each in done.values() for one in each), 2)],
    }
