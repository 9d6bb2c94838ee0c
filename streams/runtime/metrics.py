"""What a worker and its supervisor tell about themselves. Here nobody listens: every method is a no-op.

With LIKENESS_METRICS set, ``streams.runtime.prometheus`` listens; without it, its library is never imported.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from streams.core.records import Message
from streams.settings import Settings

if TYPE_CHECKING:
    from streams.steps import Effects

S = TypeVar("S")

#: Where a worker leaves its metrics for its supervisor, which serves those of all its workers. The library reads it.
SHARED_FOLDER = "PROMETHEUS_MULTIPROC_DIR"


class Metrics:
    """Takes note of what a worker does. Nothing that it does or fails to do may change the work."""

    def watch(self, services: S) -> S:
        """Return services that tell what is called."""
        return services

    def read(self, messages: Sequence[Message]) -> None:
        """Note a batch that was taken up."""

    def done(self, effects: "Effects", *, seconds: float) -> None:
        """Note a batch that is acknowledged: what followed from it, and how long it took from first to last."""

    def failed(self, dependency: str, in_a_row: int, *, breaker_open: bool) -> None:
        """Note that a dependency did not answer."""

    def answered(self, dependency: str) -> None:
        """Note that a dependency answers again."""

    def waiting(self, messages: Mapping[str, int]) -> None:
        """Note how many messages of each topic wait in this worker's own partitions."""

    def broker(self, *, reachable: bool) -> None:
        """Note whether Kafka answered the watchdog."""

    def looked(self, *, helpless: int) -> None:
        """Note that the reconciler has looked over the ledger, and how many samples it can do nothing for."""

    def driven_again(self, messages: int) -> None:
        """Note messages that the reconciler published once more."""

    def published_again(self, ends: int) -> None:
        """Note ends that the reconciler published once more."""


class Oversight:
    """Takes note of how a supervisor's workers fare, and brings their metrics together."""

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Take notes, from before the first worker starts until the last one has ended."""
        yield

    def environment(self, role: str, slot: str) -> Mapping[str, str]:
        """Return the variables that a worker needs to leave its metrics, before it is started in this slot."""
        return {}

    def started(self, role: str) -> None:
        """Note that a worker was started."""

    def ended(self, role: str, slot: str) -> None:
        """Note that a worker has ended unasked."""


@contextmanager
def metered(settings: Settings, role: str, dependencies: Sequence[str]) -> Iterator[Metrics]:
    """Yield this process's metrics: none, those that its supervisor serves, or those that it serves itself.

    Raises:
        BadInput: If this machine cannot listen where LIKENESS_METRICS says.
    """
    if settings.metrics is None:
        yield Metrics()
        return
    from streams.runtime.prometheus import serving, sharing

    shared = SHARED_FOLDER in os.environ
    with sharing(role, dependencies) if shared else serving(settings.metrics, role, dependencies) as metrics:
        yield metrics


def overseen(settings: Settings) -> Oversight:
    """Return what brings the metrics of a supervisor's workers together, if anything does."""
    if settings.metrics is None:
        return Oversight()
    from streams.runtime.oversight import PrometheusOversight

    return PrometheusOversight(settings.metrics, settings.data_dir / "metrics")
