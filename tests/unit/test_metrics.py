"""What a worker tells Prometheus: counted from what the steps return, and legible to Prometheus' own parser."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.parser import text_string_to_metric_families

from streams import topics
from streams.core.records import Message, Record
from streams.errors import DependencyUnavailable
from streams.ports import SecondVerifier, each_port
from streams.runtime.measures import COUNTS, LEVELS, SPREADS
from streams.runtime.metrics import Metrics, metered
from streams.runtime.patience import OPEN_AFTER, Patience
from streams.runtime.prometheus import PrometheusMetrics
from streams.settings import Settings
from streams.steps import Effects, judge
from streams.testing.examiner import STUB_SPACE as SPACE
from streams.testing.gallery import InMemoryGallery
from streams.testing.images import picture, png
from streams.testing.messages import message, training_sample

NOW = datetime(2026, 1, 31, tzinfo=UTC)
ANNA = png(picture([1, 0, 0, 0, 0, 0, 0, 0]))


class Told:
    """One worker's metrics, and what Prometheus reads of them."""

    def __init__(self, *dependencies: str) -> None:
        self._registry = CollectorRegistry()
        self.metrics = PrometheusMetrics("judge", dependencies, self._registry)

    def __call__(self, name: str, **labels: str) -> float | None:
        """Return the value of the one sample of this name with exactly these labels beside the role."""
        families = text_string_to_metric_families(generate_latest(self._registry).decode())
        wanted = {"role": "judge", **labels}
        found = [s.value for family in families for s in family.samples if s.name == name and s.labels == wanted]
        assert len(found) <= 1
        return found[0] if found else None

    def names(self) -> set[str]:
        return {family.name for family in text_string_to_metric_families(generate_latest(self._registry).decode())}


def read_at(offset: int, partition: int = 0, topic: str = "training.samples") -> Message:
    return Message(topic, partition, offset, b"k", b"v", ())


def record(topic: topics.Topic, value: bytes = b"{}", headers: Any = ()) -> Record:
    return Record(topic.name, b"k", value, headers, NOW)


def test_every_metric_is_there_with_its_help_and_the_names_follow_the_conventions():
    told = Told()
    assert {name for name in told.names() if not name.endswith("_created")} == {*COUNTS, *LEVELS, *SPREADS}
    for name, one in {**COUNTS, **LEVELS, **SPREADS}.items():
        assert one.means.endswith(".")
        assert name.startswith("likeness_")
        assert not name.endswith("_total")  # the client adds it
        few = {
            "topic",
            "state",
            "reason",
            "dependency",
            "part",
            "call",
            "kind",
            "statistic",
            "change",
            "advice",
            "decision",
        }
        assert set(one.labels) <= few  # of few values, and no person


def test_ends_are_counted_by_state_and_primary_reason_and_other_records_are_not():
    told = Told()
    flagged = b'{"reasons": [{"code": "leak"}, {"code": "mismatch"}]}'
    dead = (("likeness.dlq.reason", b"not-json"),)
    ends = (
        record(topics.SAMPLES_ACCEPTED, b'{"reasons": []}'),
        record(topics.SAMPLES_FLAGGED, flagged),
        record(topics.SAMPLES_FLAGGED, flagged),
        record(topics.DEAD_LETTERS, b"?", dead),
        record(topics.GENERATION_SAMPLES),
    )
    told.metrics.done(Effects(ends, ()), seconds=0.2)
    assert told("likeness_samples_ended_total", state="accepted", reason="") == 1
    assert told("likeness_samples_ended_total", state="flagged", reason="leak") == 2
    assert told("likeness_samples_ended_total", state="dead", reason="not-json") == 1
    assert told("likeness_samples_ended_total", state="flagged", reason="mismatch") is None
    assert told("likeness_batch_seconds_count") == 1


@pytest.mark.parametrize("value", [b"", b"[]", b'{"reasons": 3}', b'{"reasons": [{}]}', b"\xff", None])
def test_an_end_that_cannot_be_read_is_counted_all_the_same(value):
    told = Told()
    told.metrics.done(Effects((record(topics.SAMPLES_FLAGGED, value),), ()), seconds=0.2)
    assert told("likeness_samples_ended_total", state="flagged", reason="unreadable") == 1


def test_states_and_breakers_are_there_before_anything_happens():
    told = Told("milvus")
    assert told("likeness_samples_ended_total", state="dead", reason="") == 0
    assert told("likeness_breaker_open", dependency="milvus") == 0
    assert told("likeness_dependency_failures_total", dependency="milvus") == 0
    assert told("likeness_last_progress_timestamp_seconds") == 0


def test_progress_is_the_time_of_the_last_batch():
    told, before = Told(), datetime.now(UTC).timestamp()
    told.metrics.done(Effects((), ()), seconds=0.1)
    assert before <= (told("likeness_last_progress_timestamp_seconds") or 0) <= datetime.now(UTC).timestamp()


def test_messages_that_come_again_after_their_partition_was_away_are_counted_apart():
    told = Told()
    told.metrics.read([read_at(3), read_at(4), read_at(3, partition=1)])
    told.metrics.read([read_at(4), read_at(5), read_at(5, topic="generation.samples")])
    assert told("likeness_messages_read_total", topic="training.samples") == 5
    assert told("likeness_messages_read_total", topic="generation.samples") == 1
    assert told("likeness_messages_read_again_total") == 1
    assert told("likeness_batch_messages_count") == 2
    assert told("likeness_batch_messages_bucket", le="2.0") == 0
    assert told("likeness_batch_messages_bucket", le="4.0") == 2


def test_a_topic_of_which_nothing_waits_any_more_goes_back_to_none():
    told = Told()
    told.metrics.waiting({"training.samples": 7})
    assert told("likeness_messages_waiting", topic="training.samples") == 7
    told.metrics.waiting({})
    assert told("likeness_messages_waiting", topic="training.samples") == 0


async def test_the_calls_of_a_step_are_timed_and_its_results_are_untouched(services):
    told = Told()
    sample = message(training_sample(ANNA))
    [watched] = (await judge([sample], told.metrics.watch(services))).records
    assert watched.topic == topics.SAMPLES_ACCEPTED.name
    for part, call in (("examiner", "examine"), ("gallery", "search"), ("ledger", "decide"), ("images", "put")):
        assert told("likeness_call_seconds_count", part=part, call=call) == 1


async def test_the_second_verifiers_gallery_is_timed_by_a_name_of_its_own(services):
    told = Told()
    second = SecondVerifier(SPACE, InMemoryGallery(SPACE))
    await judge([message(training_sample(ANNA))], told.metrics.watch(replace(services, second=second)))
    assert told("likeness_call_seconds_count", part="second.gallery", call="identities") == 1
    assert told("likeness_call_seconds_count", part="gallery", call="identities") == 1


async def test_attempts_that_an_outage_took_back_are_counted_and_the_failed_call_is_timed(services):
    class Down:
        """A gallery that is away."""

        async def version(self) -> str:
            raise DependencyUnavailable("milvus", "down")

    told = Told()
    broken = told.metrics.watch(replace(services, gallery=Down()))
    samples = [message(training_sample(ANNA, index=index)) for index in range(3)]
    with pytest.raises(DependencyUnavailable):
        await judge(samples, broken)
    assert told("likeness_attempts_taken_back_total") == 3
    assert told("likeness_call_seconds_count", part="gallery", call="version") == 1


async def test_the_breaker_follows_patience(monkeypatch):
    monkeypatch.setattr("streams.runtime.patience.FIRST_PAUSE", 0.001)
    told, seen = Told("milvus", "triton"), []
    patience = Patience(metrics=told.metrics)

    async def work() -> None:
        seen.append((told("likeness_breaker_open", dependency="milvus"), patience.failures["milvus"]))
        if len(seen) <= OPEN_AFTER + 1:
            raise DependencyUnavailable("milvus", "down")

    await patience(work)
    assert seen == [(float(failed >= OPEN_AFTER), failed) for failed in range(OPEN_AFTER + 2)]
    assert told("likeness_breaker_open", dependency="milvus") == 0
    assert told("likeness_dependency_failures_total", dependency="milvus") == OPEN_AFTER + 1
    assert told("likeness_dependency_failures_in_a_row", dependency="milvus") == 0
    assert told("likeness_breaker_open", dependency="triton") == 0


async def test_the_log_says_when_a_breaker_opens_and_after_how_long_it_closes(monkeypatch, caplog):
    monkeypatch.setattr("streams.runtime.patience.FIRST_PAUSE", 0.001)
    failures = iter(range(OPEN_AFTER))

    async def work() -> None:
        if next(failures, None) is not None:
            raise DependencyUnavailable("milvus", "down")

    await Patience()(work)
    first, opened, closed = [entry.getMessage() for entry in caplog.records]
    assert "trying again (failure 1 in a row)" in first
    assert "breaker open (failure 5 in a row)" in opened
    assert closed.startswith("milvus answers again after 5 failures in ")
    assert closed.endswith(" s, breaker closed")


async def test_the_reconciler_tells_what_it_does():
    told = Told()
    told.metrics.driven_again(3)
    told.metrics.published_again(2)
    told.metrics.looked(helpless=1)
    assert told("likeness_reconciler_messages_driven_again_total") == 3
    assert told("likeness_reconciler_ends_published_again_total") == 2
    assert told("likeness_reconciler_helpless_samples") == 1


def test_every_port_of_services_is_replaced_and_no_value(services):
    named: list[str] = []

    def noted(name: str, port: object) -> object:
        named.append(name)
        return port

    two = replace(services, second=SecondVerifier(SPACE, InMemoryGallery(SPACE)))
    assert each_port(two, noted) == two
    ports = {"generator", "examiner", "lone_examiner", "imprinter", "describer", "gallery", "originals", "images"}
    assert sorted(named) == sorted({*ports, "ledger", "consent", "second.gallery"})
    with pytest.raises(TypeError, match="expected services as a dataclass, got dict"):
        each_port({}, noted)


def test_without_the_setting_nothing_is_told_and_services_are_as_they_were(services):
    with metered(Settings(), "judge", ()) as metrics:
        assert type(metrics) is Metrics
        assert metrics.watch(services) is services
