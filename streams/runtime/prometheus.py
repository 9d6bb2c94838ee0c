"""A worker's metrics, kept with Prometheus' client library: what is noted becomes counters, gauges and histograms."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import product
from typing import Any, TypeVar, get_args

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, values

from streams import topics
from streams.core.deadletter import explanation
from streams.core.ledger import State
from streams.core.records import Message, Record
from streams.events import Decision, DriftAlerted, TrainingAdvised
from streams.exposition import served
from streams.runtime.measures import COUNTS, LEVELS, SPREADS
from streams.runtime.metrics import Metrics
from streams.runtime.roles import MONITOR
from streams.runtime.timed import timed
from streams.steps import Effects

S = TypeVar("S")

#: Under this name a worker leaves its metrics in its folder. It is the same after a restart, so that sums go on.
SHARED_NAME = "worker"

_STATES = {
    topics.SAMPLES_ACCEPTED.name: State.ACCEPTED,
    topics.SAMPLES_FLAGGED.name: State.FLAGGED,
    topics.DEAD_LETTERS.name: State.DEAD,
}

#: What is counted of what the monitor tells, with its labels: fields of what is told, and the values that they have.
_TOLD: dict[str, tuple[str, dict[str, tuple[str, ...]]]] = {
    topics.DRIFT_ALERTS.name: (
        "likeness_drift_alerts",
        {name: get_args(DriftAlerted.model_fields[name].annotation) for name in ("kind", "statistic", "change")},
    ),
    topics.TRAINING_FEEDBACK.name: (
        "likeness_training_advice",
        {"advice": get_args(TrainingAdvised.model_fields["advice"].annotation)},
    ),
    topics.CLIPS_JUDGED.name: ("likeness_clips_judged", {"decision": tuple(Decision)}),
}


class PrometheusMetrics(Metrics):
    """Counts what one worker does."""

    def __init__(self, role: str, dependencies: Sequence[str], registry: CollectorRegistry) -> None:
        """Make every metric.

        Args:
            role: What the worker does; a label of each metric.
            dependencies: Those that can be down for it: their breakers are shown as closed from the beginning.
            registry: Where the metrics are collected.
        """
        self._role = role
        self._highest: dict[tuple[str, int], int] = {}
        self._topics: set[str] = set()
        self._counters = {
            name: Counter(name, one.means, ("role", *one.labels), registry=registry) for name, one in COUNTS.items()
        }
        self._gauges = {
            name: Gauge(name, one.means, ("role", *one.labels), registry=registry, multiprocess_mode=one.summed)
            for name, one in LEVELS.items()
        }
        self._histograms = {
            name: Histogram(name, one.means, ("role", *one.labels), registry=registry, buckets=one.buckets)
            for name, one in SPREADS.items()
        }
        # What is not there yet cannot be seen to rise, nor to be none.
        self._set("likeness_last_progress_timestamp_seconds", None)
        for state in _STATES.values():
            self._count("likeness_samples_ended", 0, state=state, reason="")
        if role == MONITOR.name:
            for name, values_of in _TOLD.values():
                for found in product(*values_of.values()):
                    self._count(name, 0, **dict(zip(values_of, found, strict=True)))
        for dependency in dependencies:
            self._count("likeness_dependency_failures", 0, dependency=dependency)
            self.answered(dependency)

    def _count(self, name: str, amount: float = 1, **labels: str) -> None:
        self._counters[name].labels(role=self._role, **labels).inc(amount)

    def _set(self, name: str, value: float | None, **labels: str) -> None:
        """Set a gauge; None has it there, with the value that it has."""
        gauge = self._gauges[name].labels(role=self._role, **labels)
        if value is not None:
            gauge.set(value)

    def _observe(self, name: str, value: float, **labels: str) -> None:
        self._histograms[name].labels(role=self._role, **labels).observe(value)

    # -- what is noted: see ``Metrics`` ------------------------------------------------------------------------------

    def watch(self, services: S) -> S:
        """Return services whose calls are timed."""
        return timed(services, self._called)

    def _called(self, part: str, call: str, arguments: tuple[Any, ...], seconds: float) -> None:
        self._observe("likeness_call_seconds", seconds, part=part, call=call)
        if (part, call) == ("ledger", "take_back_attempt"):
            self._count("likeness_attempts_taken_back", len(arguments[0]))

    def read(self, messages: Sequence[Message]) -> None:
        """Count the messages of a batch, and those that are here for the second time."""
        self._observe("likeness_batch_messages", len(messages))
        for message in messages:
            self._count("likeness_messages_read", topic=message.topic)
            place = (message.topic, message.partition)
            if message.offset <= self._highest.get(place, -1):
                self._count("likeness_messages_read_again")
            else:
                self._highest[place] = message.offset

    def done(self, effects: Effects, *, seconds: float) -> None:
        """Count the ends among the records, and what the monitor tells."""
        for record in effects.records:
            if record.topic in _STATES:
                self._count("likeness_samples_ended", state=_STATES[record.topic], reason=_reason(record))
            elif record.topic in _TOLD:
                name, labels = _TOLD[record.topic]
                content = json.loads(record.value or b"{}")
                self._count(name, 1, **{label: str(content.get(label, "")) for label in labels})
        self._observe("likeness_batch_seconds", seconds)
        self._set("likeness_last_progress_timestamp_seconds", time.time())

    def failed(self, dependency: str, in_a_row: int, *, breaker_open: bool) -> None:
        """Count a failure, and show the breaker as it is now."""
        self._count("likeness_dependency_failures", dependency=dependency)
        self._set("likeness_dependency_failures_in_a_row", in_a_row, dependency=dependency)
        self._set("likeness_breaker_open", int(breaker_open), dependency=dependency)

    def answered(self, dependency: str) -> None:
        """Show the breaker as closed."""
        self._set("likeness_dependency_failures_in_a_row", 0, dependency=dependency)
        self._set("likeness_breaker_open", 0, dependency=dependency)

    def waiting(self, messages: Mapping[str, int]) -> None:
        """Show how many wait, also of topics of which none waits any more."""
        self._topics.update(messages)
        for topic in self._topics:
            self._set("likeness_messages_waiting", messages.get(topic, 0), topic=topic)

    def broker(self, *, reachable: bool) -> None:
        """Show whether Kafka answered."""
        self._set("likeness_broker_reachable", int(reachable))

    def looked(self, *, helpless: int) -> None:
        """Show that the reconciler gets on."""
        self._set("likeness_reconciler_helpless_samples", helpless)
        self._set("likeness_last_progress_timestamp_seconds", time.time())

    def driven_again(self, messages: int) -> None:
        """Count messages that the reconciler published."""
        self._count("likeness_reconciler_messages_driven_again", messages)

    def published_again(self, ends: int) -> None:
        """Count ends that the reconciler published."""
        self._count("likeness_reconciler_ends_published_again", ends)


def _reason(record: Record) -> str:
    """Return the primary reason that the record of an end gives, as far as it can be read."""
    if record.topic == topics.DEAD_LETTERS.name:
        return explanation(record.headers).get("reason", "")
    try:
        reasons = json.loads(record.value or b"{}")["reasons"]
        return str(reasons[0]["code"]) if reasons else ""
    except (ValueError, LookupError, TypeError):
        return "unreadable"


@contextmanager
def serving(address: str, role: str, dependencies: Sequence[str]) -> Iterator[Metrics]:
    """Yield metrics that this process itself serves."""
    registry = CollectorRegistry()
    ProcessCollector(registry=registry)
    metrics = PrometheusMetrics(role, dependencies, registry)
    with served(address, registry):
        yield metrics


@contextmanager
def sharing(role: str, dependencies: Sequence[str]) -> Iterator[Metrics]:
    """Yield metrics that this process leaves in a folder of its own, for its supervisor to serve."""
    values.ValueClass = values.MultiProcessValue(lambda: SHARED_NAME)  # type: ignore[no-untyped-call]
    yield PrometheusMetrics(role, dependencies, CollectorRegistry())
