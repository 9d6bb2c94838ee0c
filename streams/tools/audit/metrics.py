"""The balance as metrics: what the last audit counted, when that was, and how long it took."""

from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, write_to_textfile
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from streams.errors import BadInput
from streams.tools.audit.balance import Balance

_STATES = ("accepted", "flagged", "dead", "in_flight")
_KINDS = ("lost", "conflicting", "phantom", "misnamed", "inexact", "overdue")


class AuditMetrics(Collector):
    """Holds the last balance for whoever asks. Without one there is nothing but the failures."""

    def __init__(self) -> None:
        """Begin without a balance."""
        self._last: tuple[Balance, float, float] | None = None
        self._failures = 0

    def completed(self, balance: Balance, *, at: float, seconds: float) -> None:
        """Keep a balance that was struck at a Unix time, in so many seconds."""
        self._last = (balance, at, seconds)

    def failed(self) -> None:
        """Count an audit that could not be done. What was known stays, and its time says how old it is."""
        self._failures += 1

    def collect(self) -> Iterator[Metric]:
        """Yield every metric."""
        failures = CounterMetricFamily(
            "likeness_audit_failures", "Audits that could not be done because Kafka or the ledger did not answer."
        )
        failures.add_metric([], self._failures)
        yield failures
        if self._last is not None:
            yield from _of(*self._last)


def _of(balance: Balance, at: float, seconds: float) -> Iterator[Metric]:
    yield GaugeMetricFamily(
        "likeness_unaccounted_samples",
        "Samples that should be there and are not explained: lost, conflicting, phantom, misnamed, inexact or overdue.",
        balance.unaccounted,
    )
    kinds = GaugeMetricFamily(
        "likeness_offending_samples", "Unaccounted samples by what is wrong; one may be counted twice.", labels=["kind"]
    )
    for kind in _KINDS:
        kinds.add_metric([kind], getattr(balance, kind))
    yield kinds
    yield GaugeMetricFamily("likeness_requested_samples", "Samples that the ledger has registered.", balance.requested)
    states = GaugeMetricFamily("likeness_samples", "Registered samples by where they stand.", labels=["state"])
    for state in _STATES:
        states.add_metric([state], getattr(balance, state))
    yield states
    yield GaugeMetricFamily(
        "likeness_unread_samples",
        "Samples asked for that no worker has read yet; not among the requested.",
        balance.unread,
    )
    yield GaugeMetricFamily("likeness_audit_completed_timestamp_seconds", "Unix time of the last complete audit.", at)
    yield GaugeMetricFamily("likeness_audit_duration_seconds", "How long the last complete audit took.", seconds)


def write(metrics: Collector, path: Path) -> None:
    """Write a file for node exporter's textfile collector, all at once: a reader never sees half of it.

    Raises:
        BadInput: If it cannot be written.
    """
    registry = CollectorRegistry()
    registry.register(metrics)
    try:
        write_to_textfile(str(path), registry)
    except OSError as error:
        raise BadInput(f"metrics cannot be written to {path}: {error}; choose a file in a writable folder") from error
