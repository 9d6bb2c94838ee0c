"""Verdicts, with a default for everything that a test does not care about."""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from streams.events import Decision, Reason, ReasonCode, SampleJudged
from streams.testing.examiner import STUB_SPACE


def judged(number: object = 0, *, reasons: Sequence[ReasonCode] = (), **fields: Any) -> SampleJudged:
    """Return a verdict on sample ``number`` of anna: accepted, unless there are reasons."""
    defaults: dict[str, Any] = {
        "sample_id": hashlib.sha256(str(number).encode()).hexdigest()[:32],
        "kind": "generation",
        "source": "shop",
        "request_id": "r-1",
        "index": 0,
        "identity": "anna",
        "model": "face_gan",
        "model_version": "1",
        "decision": Decision.FLAGGED if reasons else Decision.ACCEPTED,
        "reasons": tuple(Reason(code=code, text=code.value) for code in reasons),
        "nearest": (),
        "faces": 1,
        "limits": {},
        "policy_version": "stand-in@0",
        "embedding_space": STUB_SPACE.fingerprint,
        "judged_at": datetime(2030, 1, 1, tzinfo=UTC),
    }
    return SampleJudged(**defaults | fields)
