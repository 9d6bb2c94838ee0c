"""Whoever follows the topics on which samples end gets past what somebody else wrote there."""

import json
import logging
from types import SimpleNamespace

import pytest

from streams.client.verdicts import verdict_of
from streams.ports import Services
from streams.steps import judge
from streams.testing.images import picture, png
from streams.testing.messages import deliver, message, training_sample
from streams.tools.demo import Followed, note


def seen(topic: str, value: bytes | None, headers: tuple[tuple[str, bytes], ...] = ()) -> SimpleNamespace:
    """A record as aiokafka gives it."""
    return SimpleNamespace(topic=topic, partition=1, offset=7, value=value, headers=headers)


@pytest.mark.parametrize("value", [None, b"", b"hello", b"{}", b"\xff", b"[1]"])
def test_what_is_no_verdict_is_skipped_with_one_warning(value: bytes | None, caplog: pytest.LogCaptureFixture):
    assert verdict_of(seen("samples.flagged", value)) is None

    [record] = caplog.records
    assert (record.levelno, record.name) == (logging.WARNING, "streams.client.verdicts")
    assert "samples.flagged[1]@7" in record.getMessage()


async def test_a_verdict_is_read_without_a_word(services: Services, caplog: pytest.LogCaptureFixture):
    [record] = await deliver(judge, [message(training_sample(png(picture([1, 0, 0, 0, 0, 0, 0, 0]))))], services)

    judged = verdict_of(seen(record.topic, record.value))

    assert judged is not None
    assert record.key == judged.sample_id.encode()
    assert caplog.records == []


def test_the_demonstration_counts_ends_and_nothing_else(caplog: pytest.LogCaptureFixture):
    followed = Followed()

    note(seen("samples.accepted", b"hello"), followed)
    note(seen("dead.letters", b"hello"), followed)
    note(seen("dead.letters", b"x", (("likeness.dlq.id", b"aa"), ("likeness.dlq.reason", b"not-json"))), followed)

    assert (followed.ended, list(followed.dead)) == (1, ["aa"])
    assert len(caplog.records) == 2


def test_the_demonstration_keeps_the_last_word_on_a_step_and_on_an_alert(caplog: pytest.LogCaptureFixture):
    followed = Followed()
    body = {"run_id": "run", "step": 7, "complete": False, "reason": "so", "accepted": 0, "flagged": {}}
    for revision, samples in ((1, 2), (3, 5), (2, 4)):
        said = {**body, "revision": revision, "samples": samples, "advice": "continue"}
        note(seen("training.feedback", json.dumps(said).encode()), followed)
    note(seen("training.feedback", b"hello"), followed)
    note(seen("drift.alerts", b"hello"), followed)

    assert {step: said.samples for step, said in followed.feedback.items()} == {7: 5}
    assert (followed.ended, followed.alerts) == (0, {})
    assert len(caplog.records) == 2
