"""``python -m tests.faults.mutations.trials``: every broken promise must be caught, the whole one never.

Each mutant goes through the scenario that should show its fault; the worker as it is shipped goes through all of them.
"""

import argparse
import asyncio
import json
import logging
import sys
import tempfile
import time
from collections import deque
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.faults.mutations.bench import Bench, milvus
from tests.faults.mutations.mutants import MUTANTS
from tests.faults.mutations.scenarios import PROOFS, Scenario
from tests.faults.mutations.trial import Stuck

#: Brokers on which trials run side by side: they wait more than they work.
LANES = 2

#: Stands for the worker as it is shipped.
WHOLE = "none"


@dataclass(frozen=True)
class MutationResult:
    """One worker in one scenario, and what the checker said of it."""

    mutant: str
    """``none`` is the worker as it is shipped: the control."""
    breaks: str
    """Which promise, and how."""
    scenario: str
    anomalies: Mapping[str, int]
    """Name to number of samples, where there are any."""
    telling: tuple[str, ...]
    """Anomalies of which one at least must have been found; none of a control."""
    seconds: float
    stuck: str | None = None
    """Why the scenario did not come to its end."""

    @property
    def control(self) -> bool:
        """Whether nothing was broken."""
        return self.mutant == WHOLE

    @property
    def as_it_should_be(self) -> bool:
        """A mutant is caught by what it does; in a control nothing is found at all."""
        if self.stuck is not None:
            return False
        if self.control:
            return not self.anomalies
        return any(self.anomalies.get(name) for name in self.telling)

    def as_dict(self) -> dict[str, Any]:
        """Return everything as JSON can hold it."""
        return asdict(self) | {"as_it_should_be": self.as_it_should_be}


@dataclass(frozen=True)
class _Task:
    mutant: str
    scenario: Scenario
    telling: tuple[str, ...]

    @property
    def scenario_name(self) -> str:
        return self.scenario.__name__.replace("_", " ")


async def run_mutations(folder: Path, *, only: Collection[str] = (), lanes: int = LANES) -> list[MutationResult]:
    """Try every mutant, and the worker as it is shipped in every scenario; mutants first.

    Args:
        folder: Where all data and logs go.
        only: Names of mutants; none: all of them.
        lanes: So many brokers.
    """
    tasks = deque(_tasks(only))
    order = {(task.mutant, task.scenario_name): place for place, task in enumerate(tasks)}
    results: list[MutationResult] = []

    async def work_on(bench: Bench) -> None:
        while tasks:
            results.append(await _try(bench, tasks.popleft()))

    async with AsyncExitStack() as stack:
        address = await stack.enter_async_context(milvus(folder / "milvus"))

        async def lane(number: int) -> None:
            async with Bench.running(folder / f"lane-{number}", address) as bench:
                await work_on(bench)

        async with asyncio.TaskGroup() as group:
            for number in range(lanes):
                group.create_task(lane(number))
    return sorted(results, key=lambda one: order[one.mutant, one.scenario])


def _tasks(only: Collection[str]) -> Iterable[_Task]:
    proofs = {name: proof for name, proof in PROOFS.items() if not only or name in only}
    for name, proof in proofs.items():
        yield _Task(name, proof.scenario, proof.anomalies)
    for scenario in dict.fromkeys(proof.scenario for proof in proofs.values()):
        yield _Task(WHOLE, scenario, ())


async def _try(bench: Bench, task: _Task) -> MutationResult:
    began, anomalies, stuck = time.monotonic(), {}, None
    try:
        async with bench.trial(task.mutant, task.scenario.__name__) as trial:
            await task.scenario(trial)
        anomalies = await trial.check()
    except Stuck as error:
        stuck = str(error)
    breaks = MUTANTS[task.mutant].breaks if task.mutant != WHOLE else "nothing: the worker as it is shipped"
    seconds = round(time.monotonic() - began, 1)
    return MutationResult(task.mutant, breaks, task.scenario_name, anomalies, task.telling, seconds, stuck)


def summary(results: Sequence[MutationResult]) -> dict[str, Any]:
    """Return what a report needs: the counts, and every trial."""
    mutants, controls = [r for r in results if not r.control], [r for r in results if r.control]
    return {
        "mutations": len(mutants),
        "mutations_caught": sum(one.as_it_should_be for one in mutants),
        "controls": len(controls),
        "controls_clean": sum(one.as_it_should_be for one in controls),
        "trials": [one.as_dict() for one in results],
    }


def table(results: Sequence[MutationResult]) -> str:
    """Return the results as a Markdown table."""
    lines = ["| mutation | breaks | scenario | caught | by |", "|---|---|---|---|---|"]
    for one in results:
        name, caught = one.mutant, "yes" if one.as_it_should_be else "**no**"
        if one.control:
            name, caught = "(none)", "nothing to catch" if one.as_it_should_be else "**false alarm**"
        by = one.stuck or ", ".join(f"{kind} {count}" for kind, count in one.anomalies.items()) or "–"
        lines.append(f"| {name} | {one.breaks} | {one.scenario} | {caught} | {by} |")
    return "\n".join(lines)


def main() -> int:
    """Try, print, and return 1 where a mutant gets through or the whole worker does not."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.mutations.trials", description=__doc__)
    parser.add_argument(
        "--only", nargs="+", choices=list(MUTANTS), default=[], help="mutants to try; all where left out"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    parser.add_argument("--keep", type=Path, help="a new folder in which logs and data stay")
    given = parser.parse_args()
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL)  # topics that were just made have no leader yet
    with tempfile.TemporaryDirectory() as temporary:
        results = asyncio.run(run_mutations(given.keep or Path(temporary), only=given.only))
    print(json.dumps(summary(results)) if given.json else table(results))
    return 0 if all(one.as_it_should_be for one in results) else 1


if __name__ == "__main__":
    sys.exit(main())
