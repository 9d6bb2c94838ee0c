"""What came of a replay, in a form that is the same to the byte for the same input."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal, NamedTuple

from streams.core.replay.changes import Tally
from streams.core.replay.codes import codes
from streams.core.replay.gate import Ruling

Mode = Literal["regate", "rejudge"]


class Change(NamedTuple):
    """A sample whose verdict changed: the reasons before and after, as masks."""

    sample_id: str
    before: int
    after: int


@dataclass(frozen=True)
class Replayed:
    """The outcome of one replay."""

    mode: Mode
    policy: str
    """Version of the policy that judged."""
    policies: Mapping[str, int]
    """Recorded verdicts by policy version."""
    embedding_space: str
    gallery: str
    """Version of the gallery that was judged with; empty where what was measured before was taken."""
    consent: Literal["now", "recorded"]
    """As of when consent and erasures were asked for."""
    tally: Tally
    skipped: Mapping[str, int]
    """Recorded samples that were not replayed, by why."""
    changes: Sequence[Change]

    def canonical(self) -> bytes:
        """Return everything that was found out as JSON: sorted, without a time."""
        whole = {"version": 1, **self._found(), "changes": [_change(one) for one in sorted(self.changes)]}
        return json.dumps(whole, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

    def as_dict(self, gate: Sequence[Ruling] = ()) -> dict[str, Any]:
        """Return what a command prints: without the single samples, with the digest of everything."""
        rules = [
            {"rule": one.rule.text, "value": one.value, "percent": one.rule.percent, "failed": one.failed}
            for one in gate
        ]
        return {
            **self._found(),
            "gate": {"failed": any(one.failed for one in gate), "rules": rules},
            "sha256": hashlib.sha256(self.canonical()).hexdigest(),
        }

    def _found(self) -> dict[str, Any]:
        counts = asdict(self.tally)
        counts["by_reason"] = {
            code.value: asdict(one) for code, one in self.tally.by_reason.items() if one.before or one.after
        }
        return {
            "mode": self.mode,
            **counts,
            "skipped": {why: count for why, count in sorted(self.skipped.items()) if count},
            "policy": self.policy,
            "policies": dict(sorted(self.policies.items())),
            "embedding_space": self.embedding_space,
            "gallery": self.gallery,
            "consent": self.consent,
        }


def _change(change: Change) -> dict[str, Any]:
    return {
        "sample_id": change.sample_id,
        "before": [code.value for code in codes(change.before)],
        "after": [code.value for code in codes(change.after)],
    }
