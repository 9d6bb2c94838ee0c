"""What came of a replay, in a form that is the same to the byte for the same input."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from streams.core.replay.changes import Tally
from streams.core.replay.codes import Masks, codes
from streams.core.replay.gate import Ruling

Mode = Literal["regate", "rejudge"]
Ids = npt.NDArray[np.bytes_]
"""Ids of samples, shape (n,): 32 hex digits each."""

#: Changes that are written at a time.
_TOGETHER = 10_000
_CANONICAL: dict[str, Any] = {"separators": (",", ":"), "sort_keys": True, "ensure_ascii": False}


class Change(NamedTuple):
    """A sample whose verdict changed: the reasons before and after, as masks."""

    sample_id: str
    before: int
    after: int


@dataclass(frozen=True, eq=False)
class Changes:
    """All of them, in the order of their ids: 36 bytes each, as a million samples may have changed."""

    sample_id: Ids
    before: Masks
    after: Masks

    @classmethod
    def of(cls, parts: Iterable[tuple[Ids, Masks, Masks]]) -> "Changes":
        """Return the changes of several parts together, which may come in any order."""
        none = (np.array([], dtype="S32"), *2 * [np.array([], dtype=np.uint16)])
        ids, before, after = (np.concatenate(each) for each in zip(none, *parts, strict=True))
        order = np.argsort(ids, kind="stable")
        return cls(ids[order], before[order], after[order])

    def __len__(self) -> int:
        """Return how many there are."""
        return len(self.sample_id)

    def __iter__(self) -> Iterator[Change]:
        """Yield them in order."""
        for ids, before, after in self._slices():
            yield from map(Change, ids, before, after)

    def json(self) -> Iterator[str]:
        """Yield them as JSON objects with commas between, some at a time."""
        verdicts: dict[tuple[int, int], str] = {}
        between = ""
        for ids, before, after in self._slices():
            said = []
            for sample_id, *masks in zip(ids, before, after, strict=True):
                was, now = masks
                if (was, now) not in verdicts:
                    verdicts[was, now] = f'{{"after":{_names(now)},"before":{_names(was)},"sample_id":"'
                said.append(f'{verdicts[was, now]}{sample_id}"}}')
            yield between + ",".join(said)
            between = ","

    def _slices(self) -> Iterator[tuple[list[str], list[int], list[int]]]:
        for start in range(0, len(self), _TOGETHER):
            part = slice(start, start + _TOGETHER)
            yield self.sample_id[part].astype(np.str_).tolist(), self.before[part].tolist(), self.after[part].tolist()


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
    changes: Changes

    def canonical(self) -> Iterator[bytes]:
        """Yield everything that was found out as JSON, piece by piece: sorted, without a time."""
        whole = json.dumps({"version": 1, **self._found(), "changes": []}, **_CANONICAL)
        # No text can hold this: its quotes would have backslashes.
        begin, found, end = whole.partition('"changes":[')
        yield (begin + found).encode()
        for piece in self.changes.json():
            yield piece.encode()
        yield end.encode()

    @cached_property
    def sha256(self) -> str:
        """The digest of everything."""
        digest = hashlib.sha256()
        for piece in self.canonical():
            digest.update(piece)
        return digest.hexdigest()

    def as_dict(self, gate: Sequence[Ruling] = ()) -> dict[str, Any]:
        """Return what a command prints: without the single samples, with the digest of everything."""
        rules = [
            {"rule": one.rule.text, "value": one.value, "percent": one.rule.percent, "failed": one.failed}
            for one in gate
        ]
        return {
            **self._found(),
            "gate": {"failed": any(one.failed for one in gate), "rules": rules},
            "sha256": self.sha256,
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


def _names(mask: int) -> str:
    return json.dumps([code.value for code in codes(mask)], **_CANONICAL)
