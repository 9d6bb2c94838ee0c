"""The alerts speak of metrics that exist, and say what to do."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry, Metric

from streams.runtime.oversight import PrometheusOversight
from streams.runtime.prometheus import PrometheusMetrics
from streams.tools.audit.balance import Balance
from streams.tools.audit.metrics import AuditMetrics

FOLDER = Path(__file__).parents[2] / "ops" / "prometheus"
_NAME = re.compile(r"\b(?:likeness_[a-z_]+|up)\b(?![\"'(])")
_LABELS = re.compile(r"(?:by|on) \(([^)]*)\)|\{([^}]*)\}")
#: What Prometheus itself adds.
PROMETHEUS = {"up": {"job", "instance"}}


def exported() -> dict[str, set[str]]:
    """Return every sample that the workers, their supervisor and the audit can export, with its labels."""
    registry = CollectorRegistry()
    worker = PrometheusMetrics("judge", ["milvus"], registry)
    worker.waiting({"training.samples": 0})
    worker.broker(reachable=True)
    worker.looked(helpless=0)
    worker.driven_again(0)
    watching = CollectorRegistry()
    PrometheusMetrics("monitor", [], watching)
    oversight, audit = PrometheusOversight("127.0.0.1:1", Path("nowhere")), AuditMetrics()
    oversight.started("judge")
    oversight.ended("judge", "judge-1")
    nothing = dict.fromkeys(("dead", "in_flight", "unread", "conflicting", "misnamed", "inexact", "expired"), 0)
    audit.completed(Balance(0, 0, 0, lost=0, phantom=0, duplicates=0, **nothing), at=0, seconds=0)
    found: dict[str, set[str]] = {}
    families: list[Metric] = [*registry.collect(), *watching.collect(), *oversight.collect(), *audit.collect()]
    for family in families:
        for sample in family.samples:
            found.setdefault(sample.name, set()).update(sample.labels)
    return found


def faults(expression: str, known: dict[str, set[str]]) -> list[str]:
    """Return what an expression speaks of that nobody exports."""
    names = set(_NAME.findall(expression))
    unknown = sorted(names - known.keys())
    labels = set[str]()
    for listed, matched in _LABELS.findall(expression):
        labels.update(re.findall(r"[a-z_]+", listed), re.findall(r"([a-z_]+)\s*(?:=|!=|=~|!~)", matched))
    return unknown + sorted(labels - {label for name in names & known.keys() for label in known[name]})


def rules() -> list[dict[str, Any]]:
    content = yaml.safe_load((FOLDER / "alerts.yml").read_text())
    return [rule for group in content["groups"] for rule in group["rules"]]


@pytest.mark.parametrize("rule", rules(), ids=lambda rule: rule["alert"])
def test_an_alert_speaks_of_what_is_exported_and_says_where_to_begin(rule):
    assert _NAME.search(rule["expr"])
    assert faults(rule["expr"], exported() | PROMETHEUS) == []
    assert rule["labels"]["severity"] in {"critical", "warning"}
    assert rule["annotations"]["summary"]
    assert rule["annotations"]["description"].endswith(".")


@pytest.mark.parametrize(
    ("expression", "wrong"),
    [
        ("likeness_breaker_opened == 1", ["likeness_breaker_opened"]),
        ("sum by (roll) (likeness_breaker_open)", ["roll"]),
        ('likeness_breaker_open{dependancy="milvus"}', ["dependancy"]),
        ('likeness_breaker_open{dependency="milvus"} and up', []),
    ],
)
def test_the_check_finds_what_nobody_exports(expression, wrong):
    assert faults(expression, exported() | PROMETHEUS) == wrong


def test_what_must_be_told_has_an_alert():
    told = " ".join(rule["expr"] for rule in rules())
    for name in (
        "likeness_unaccounted_samples",
        "absent(likeness_audit_completed_timestamp_seconds)",
        "likeness_breaker_open",
        "likeness_messages_waiting",
        "likeness_last_progress_timestamp_seconds",
        "likeness_worker_restarts_total",
        'likeness_samples_ended_total{state="dead"}',
    ):
        assert name in told


def test_prometheus_is_told_to_read_the_alerts_and_whom_to_ask():
    content = yaml.safe_load((FOLDER / "scrape.yml").read_text())
    assert content["rule_files"] == ["alerts.yml"]
    jobs = {job["job_name"] for job in content["scrape_configs"]}
    assert jobs == {"likeness-workers", "likeness-audit"}
    assert all(re.fullmatch(r"likeness-.*", job) for job in jobs)  # as the alert on a silent one has it
