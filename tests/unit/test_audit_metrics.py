"""The balance as Prometheus reads it."""

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams.errors import BadInput
from streams.tools.audit.balance import Balance
from streams.tools.audit.metrics import AuditMetrics, write

BALANCE = Balance(
    requested=100,
    accepted=50,
    flagged=20,
    dead=10,
    in_flight=18,
    unread=3,
    lost=1,
    conflicting=1,
    phantom=2,
    misnamed=0,
    inexact=0,
    duplicates=4,
    expired=0,
    overdue=5,
    unaccounted=9,
)


def read(text: str) -> dict[str, float]:
    """Return every sample by its name and the value of its only label."""
    found = {}
    for family in text_string_to_metric_families(text):
        assert family.documentation.endswith(".")
        for sample in family.samples:
            (label,) = sample.labels.values() or ("",)
            found[f"{sample.name} {label}".strip()] = sample.value
    return found


def test_what_was_counted_is_read_by_prometheus_own_parser():
    metrics, registry = AuditMetrics(), CollectorRegistry()
    registry.register(metrics)
    metrics.completed(BALANCE, at=1_800_000_000.0, seconds=2.5)
    assert read(generate_latest(registry).decode()) == {
        "likeness_unaccounted_samples": 9,
        "likeness_offending_samples lost": 1,
        "likeness_offending_samples conflicting": 1,
        "likeness_offending_samples phantom": 2,
        "likeness_offending_samples misnamed": 0,
        "likeness_offending_samples inexact": 0,
        "likeness_offending_samples overdue": 5,
        "likeness_requested_samples": 100,
        "likeness_samples accepted": 50,
        "likeness_samples flagged": 20,
        "likeness_samples dead": 10,
        "likeness_samples in_flight": 18,
        "likeness_unread_samples": 3,
        "likeness_audit_completed_timestamp_seconds": 1_800_000_000.0,
        "likeness_audit_duration_seconds": 2.5,
        "likeness_audit_failures_total": 0,
    }


def test_an_audit_that_was_never_completed_counts_nothing_rather_than_none():
    metrics, registry = AuditMetrics(), CollectorRegistry()
    registry.register(metrics)
    metrics.failed()
    assert read(generate_latest(registry).decode()) == {"likeness_audit_failures_total": 1}


def test_an_audit_that_fails_leaves_the_last_one_and_its_time():
    metrics, registry = AuditMetrics(), CollectorRegistry()
    registry.register(metrics)
    metrics.completed(BALANCE, at=7.0, seconds=1.0)
    metrics.failed()
    found = read(generate_latest(registry).decode())
    assert (found["likeness_audit_completed_timestamp_seconds"], found["likeness_unaccounted_samples"]) == (7, 9)


def test_the_file_is_replaced_as_a_whole_and_nothing_is_left_beside_it(tmp_path):
    path, metrics = tmp_path / "likeness.prom", AuditMetrics()
    path.write_text("old")
    with path.open() as reading:
        metrics.completed(BALANCE, at=7.0, seconds=1.0)
        write(metrics, path)
        assert reading.read() == "old"  # who reads the old file goes on reading the old file
    assert read(path.read_text())["likeness_unaccounted_samples"] == 9
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(BadInput, match="choose a file in a writable folder"):
        write(AuditMetrics(), tmp_path / "nowhere" / "likeness.prom")
