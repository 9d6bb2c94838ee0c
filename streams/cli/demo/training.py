"""The demonstration's training run: a program of its own, as training loops are, whose checkpoints break on purpose."""

import asyncio
import json
import sys
from collections.abc import Sequence
from dataclasses import dataclass

from streams.adapters.ledger.charts.shown import drawn
from streams.cli.wiring.database import opened_database
from streams.cli.wiring.plan import drift_plan
from streams.cli.wiring.workers import worker_env
from streams.core.drift.chart import Kind
from streams.errors import BadInput
from streams.events import DEFAULT_MODEL
from streams.ports import Services
from streams.processes.child import Child
from streams.settings import Settings
from streams.tools.demo import Followed
from streams.tools.report.training import TrainingRun

RUN = "demo-training"
#: Samples of each step, and whom they show: of few people, so that there are several of each, whose variety counts.
EACH, PEOPLE = 12, 4

_LOOK_SECONDS = 0.1


@dataclass
class Loop:
    """The training loop, and what it has published; ``None`` while it runs."""

    samples: int | None = None

    async def run(self, settings: Settings, services: Services, people: Sequence[str]) -> None:
        """Run it to its end; it ends with this task.

        Raises:
            PartFailed: If it fails.
        """
        targets = settings.data_dir / "targets.json"
        found = await services.gallery.identities(people[:PEOPLE])
        anchors = {name: one.conditioning[DEFAULT_MODEL] for name, one in found.items()}
        targets.write_text(json.dumps(anchors), encoding="utf-8")
        command = [sys.executable, "-m", "streams.cli.main", "families", "rehearse", "--json"]
        command += ["--run", RUN, "--targets", str(targets), "--samples", str(EACH)]
        log = settings.data_dir / "logs" / "training.log"
        child = await asyncio.to_thread(Child.start, "the training run", command, worker_env(settings), log)
        try:
            while (status := child.poll()) is None:  # noqa: ASYNC110 - a process has no event
                await asyncio.sleep(_LOOK_SECONDS)
            if status:
                raise child.failure(f"ended with status {status}", "see what it says, or leave it out with --quick")
            self.samples = int(json.loads(child.log_tail(1))["samples"])
        finally:
            await asyncio.to_thread(child.stop)
            targets.unlink()  # whoever has an anchor can make that face

    def advised(self, followed: Followed) -> bool:
        """Say whether it has ended, and whether of each of its steps all was said."""
        steps = followed.feedback.values()
        return self.samples is not None and sum(one.samples for one in steps) == self.samples


async def charted(settings: Settings, followed: Followed) -> TrainingRun:
    """Return the run as the monitor has measured it: what it said on the topics, and its chart.

    Raises:
        BadInput: If there is no chart of it.
    """
    plan = drift_plan(settings)
    async with opened_database(settings) as database:
        found = [one for one in await drawn(database, plan) if (one.chart.kind, one.chart.run) == (Kind.RUN, RUN)]
    if not found:
        raise BadInput(f"expected a chart of {RUN}, got none: see the monitor's log in {settings.data_dir / 'logs'}")
    [chart] = found
    return TrainingRun(
        run_id=RUN,
        feedback=tuple(followed.feedback[step] for step in sorted(followed.feedback)),
        alerts=tuple(sorted(followed.alerts.values(), key=lambda one: (one.raised_step or 0, one.statistic))),
        fall=tuple((point.window, point.standings["fall"].value) for point in chart.points),
        limit=plan.cusum_limit,
        calibrated_through=None if chart.calibration is None else chart.calibration.through,
    )
