"""Every metric of a worker: its name by the conventions of Prometheus, what it means, and its labels beside ``role``.

No label names a person, a sample or a request: their values are few, and known beforehand.
"""

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Count:
    """Only goes up. Prometheus' clients add ``_total`` to the name."""

    means: str
    labels: tuple[str, ...] = ()


@dataclass(frozen=True)
class Level:
    """Goes up and down."""

    means: str
    labels: tuple[str, ...] = ()
    summed: Literal["max", "livemax", "livemin", "livesum"] = "livemax"
    """What several workers of one role make of it; ``live…`` leaves out those that have ended."""


@dataclass(frozen=True)
class Spread:
    """How many values were at most so large."""

    means: str
    buckets: tuple[float, ...]
    labels: tuple[str, ...] = ()


COUNTS = {
    "likeness_messages_read": Count("Messages taken into a batch.", ("topic",)),
    "likeness_messages_read_again": Count(
        "Messages that the same process had taken up before: their partition was taken away and came back."
    ),
    "likeness_samples_ended": Count("Ends of samples delivered, by their primary reason.", ("state", "reason")),
    "likeness_attempts_taken_back": Count("Attempts that do not count against their sample: something was down."),
    "likeness_dependency_failures": Count("Calls that a dependency did not answer.", ("dependency",)),
    "likeness_drift_alerts": Count("Changes of drift alerts delivered.", ("kind", "statistic", "change")),
    "likeness_training_advice": Count("Advice on steps of training runs delivered.", ("advice",)),
    "likeness_clips_judged": Count("Verdicts on clips delivered, revisions among them.", ("decision",)),
    "likeness_reconciler_messages_driven_again": Count("Messages published once more for samples without an end."),
    "likeness_reconciler_ends_published_again": Count("Ends published that were never noted as delivered."),
}

LEVELS = {
    "likeness_last_progress_timestamp_seconds": Level(
        "Unix time at which a batch was last acknowledged, or the ledger last looked over; 0 before the first time.",
        summed="max",
    ),
    "likeness_dependency_failures_in_a_row": Level(
        "Calls that a dependency has not answered since it last did, for the worker that is worst off.",
        ("dependency",),
    ),
    "likeness_breaker_open": Level(
        "1 while a worker waits for a dependency that has not answered for a while, else 0.", ("dependency",)
    ),
    "likeness_messages_waiting": Level(
        "Messages behind the committed offset in the workers' own partitions, as their watchdogs last saw.",
        ("topic",),
        summed="livesum",
    ),
    "likeness_broker_reachable": Level(
        "1 where Kafka answered every worker's watchdog when it last looked, else 0.", summed="livemin"
    ),
    "likeness_reconciler_helpless_samples": Level(
        "Samples without an end of which the ledger does not say what asked for them."
    ),
}

SPREADS = {
    "likeness_batch_messages": Spread("Messages in one batch.", (1, 2, 4, 8, 16, 32, 64, 128)),
    "likeness_batch_seconds": Spread(
        "Seconds from a batch being read to its being acknowledged; waiting for what is down counts.",
        (0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300),
    ),
    "likeness_call_seconds": Spread(
        "Seconds of one call of a part, such as examiner.examine or gallery.search, whether it succeeded or not.",
        (0.002, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 30),
        ("part", "call"),
    ),
}
