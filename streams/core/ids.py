"""Names that are derived, never drawn: the same input has the same id in every process, for ever."""

import hashlib
import json


def _digest(*parts: str | int) -> str:
    text = json.dumps(parts, separators=(",", ":"), ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def generated_sample_id(source: str, request_id: str, index: int) -> str:
    """Return the id of sample ``index`` of a request. Nothing that is known only later goes in.

    >>> generated_sample_id("shop", "r-1", 0)
    '8d6f6ae05bcdbf2e5fe5d0aa2c6fba92'
    """
    return _digest("generation", source, request_id, index)


def training_sample_id(run_id: str, step: int, index: int) -> str:
    """Return the id of sample ``index`` that a training run made at ``step``."""
    return _digest("training", run_id, step, index)


def message_id(topic: str, partition: int, offset: int) -> str:
    """Return the id of a message that names no sample of its own."""
    return _digest("message", topic, partition, offset)
