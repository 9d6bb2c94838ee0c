"""Names that are derived, never drawn: the same input has the same id in every process, for ever."""

import hashlib
import json

from streams.core.records import Message


def _digest(*parts: str | int) -> str:
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def generated_sample_id(source: str, request_id: str, index: int) -> str:
    """Return the id of sample ``index`` of a request. Nothing that is known only later goes in.

    >>> generated_sample_id("shop", "r-1", 0)
    '04dd23b83e0103b8dee243ab638a687b'
    """
    return _digest("generation", source, request_id, index)


def training_sample_id(run_id: str, step: int, index: int) -> str:
    """Return the id of sample ``index`` that a training run made at ``step``."""
    return _digest("training", run_id, step, index)


def alert_id(chart: str, statistic: str, window: int) -> str:
    """Return the id of the alert that a chart's statistic raises in a window."""
    return _digest("alert", chart, statistic, window)


def feedback_id(scope: str, step: int) -> str:
    """Return the id of what is said of one step of a training run."""
    return _digest("feedback", scope, step)


def clip_verdict_id(clip_id: str, kind: str, source: str, identity: str, model: str, space: str) -> str:
    """Return the id of what is said of one clip of one person by one model, in one embedding space."""
    return _digest("clip", clip_id, kind, source, identity, model, space)


def message_id(message: Message) -> str:
    """Return the id of a message that names no sample of its own.

    Its bytes go in beside its place: a topic that was created anew has other messages in the same places.
    """
    content = hashlib.sha256(message.value or b"").hexdigest()
    return _digest("message", message.topic, message.partition, message.offset, content)
