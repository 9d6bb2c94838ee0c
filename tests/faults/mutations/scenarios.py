"""What is done to a worker so that a broken promise shows: for each one the right fault at the right moment.

Every scenario ends with a worker that is well, and gives it time. The worker as it is shipped goes through each of them
too, and must come out without one anomaly.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import psutil

from streams.processes.child import Child
from tests.faults.mutations.trial import STRICT, Stuck, Trial
from tests.faults.road.orders import CRASH_STATUS

Scenario = Callable[[Trial], Awaitable[None]]

#: Seconds: time enough to commit what must not be committed, when that is what a worker does.
_TIME_TO_COMMIT = 3.0
#: Seconds: more than twice what the mutant's group allows for a poll.
_OUTAGE = 5.0
#: What a worker's log says once it has noticed that a part is away.
_NOTICED = "trying again"


async def an_error_in_mid_batch(trial: Trial) -> None:
    """The second batch meets an error that nobody has foreseen."""
    with trial.worker(trouble="raises") as worker:
        await trial.until(lambda: worker.poll() is not None or trial.settled())
    await _finish(trial)


async def a_stop_in_mid_batch(trial: Trial) -> None:
    """The worker is told to stop while it is at its first batch, which is cut off."""
    with trial.worker(trouble="waits"):
        await trial.until(trial.at_the_gate)
    await _finish(trial)


async def a_broker_that_refuses(trial: Trial) -> None:
    """Every delivery fails, for a while."""
    async with trial.refusing():
        with trial.worker() as worker:
            await trial.until(lambda: worker.poll() is not None or trial.settled())
    await _finish(trial)


async def a_kill_while_the_first_batch_takes_long(trial: Trial) -> None:
    """The first batch is stuck, and the worker is killed before it comes to its end."""
    with trial.worker(trouble="waits") as worker:
        await trial.until(trial.at_the_gate)
        await trial.for_seconds(_TIME_TO_COMMIT, unless=lambda: trial.committed() > 0)
        _process(worker).kill()
    await _finish(trial)


async def an_outage_longer_than_a_poll_may_take(trial: Trial) -> None:
    """The image store is away for longer than the group would wait for a worker that polls."""
    with trial.worker() as worker:
        with trial.without_images():
            await trial.until(lambda: _NOTICED in worker.log_path.read_text() or trial.settled())
            await trial.for_seconds(_OUTAGE, unless=trial.settled)
        await trial.come_to_rest()


async def a_death_between_decision_and_delivery(trial: Trial) -> None:
    """The ledger has decided, nothing is sent; what comes again meets another policy."""
    await _die_and_be_stricter(trial, "decided")


async def a_death_between_delivery_and_acknowledgement(trial: Trial) -> None:
    """The verdicts are out, the messages come again and meet another policy."""
    await _die_and_be_stricter(trial, "delivered")


async def a_zombie(trial: Trial) -> None:
    """A worker that was thought dead comes back with a batch that another one has judged by another policy."""
    with trial.worker(trouble="waits") as zombie:
        await trial.until(trial.at_the_gate)
        process = _process(zombie)
        process.suspend()
        with trial.worker(STRICT):
            await trial.come_to_rest()
            trial.order_death("acked")
            trial.open_the_gate()
            process.resume()
            await trial.until(lambda: zombie.poll() == CRASH_STATUS)


@dataclass(frozen=True)
class Proof:
    """Which scenario shows a mutant's fault, and as what."""

    scenario: Scenario
    anomalies: tuple[str, ...]
    """One of them at least must be found."""


#: Each mutant's name to what must catch it.
PROOFS: Mapping[str, Proof] = {
    "ledger-off": Proof(a_death_between_delivery_and_acknowledgement, ("conflicting",)),
    "own-verdict": Proof(a_zombie, ("conflicting",)),
    # An error does not show it: the process has ended before anything that take() acknowledged is committed.
    "take": Proof(a_stop_in_mid_batch, ("lost", "unordered_commit")),
    "acks-as-it-reads": Proof(an_error_in_mid_batch, ("lost", "unordered_commit")),
    "unawaited-send": Proof(a_broker_that_refuses, ("lost",)),
    "concurrency-2": Proof(a_kill_while_the_first_batch_takes_long, ("lost", "unordered_commit")),
    "skipped-ack": Proof(an_error_in_mid_batch, ("lost", "unordered_commit")),
    "default-max-poll": Proof(an_outage_longer_than_a_poll_may_take, ("unaccounted",)),
    "embedding-after-decision": Proof(a_death_between_decision_and_delivery, ("missing_embedding",)),
    "outage-is-a-verdict": Proof(an_outage_longer_than_a_poll_may_take, ("wrong_dead",)),
}


async def _die_and_be_stricter(trial: Trial, point: str) -> None:
    trial.order_death(point)
    with trial.worker() as worker:
        await trial.until(lambda: worker.poll() == CRASH_STATUS)
    await _finish(trial)


async def _finish(trial: Trial) -> None:
    with trial.worker(STRICT):
        await trial.come_to_rest()


def _process(worker: Child) -> psutil.Process:
    pid = worker.command_pid
    if pid is None:
        raise Stuck(f"{worker.name} has ended: see {worker.log_path}")
    return psutil.Process(pid)
