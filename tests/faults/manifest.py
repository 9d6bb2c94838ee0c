"""What was asked of a road: the runner writes it down as it asks, and the checker holds the road to it.

The checker takes nothing else for true. A message is written down before it is sent, and counts as asked for when the
broker has acknowledged it; what was sent and never acknowledged may have an end and needs none.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Literal, Self

End = Literal["judged", "flagged", "dead"]
"""``judged`` is accepted or flagged: a verdict."""


@dataclass
class Asked:
    """One generation request: ``count`` samples, each of which must end with a verdict."""

    source: str
    request_id: str
    identity: str
    model: str
    count: int
    acknowledged: bool = False
    """Whether the broker has said that it has the request."""
    end: End = "judged"
    reasons: list[str] = field(default_factory=list)
    """Where not empty, the primary reason must be one of them (``no-consent``, ``no-reference``, …)."""


@dataclass
class Trained:
    """One training sample, sent with its image inline."""

    run_id: str
    step: int
    index: int
    identity: str
    model: str
    acknowledged: bool = False
    end: End = "judged"
    reasons: list[str] = field(default_factory=list)


@dataclass
class Poisoned:
    """One message that cannot end with an ordinary verdict, and how it must end instead."""

    name: str
    topic: str
    end: End
    reasons: list[str]
    """Dead letter: its reason is one of them. Flagged: the primary reason is one of them."""
    partition: int | None = None
    offset: int | None = None
    """Where the broker put it; both None where the broker's answer was lost: it is there once or not at all."""
    sample_ids: list[str] = field(default_factory=list)
    """Samples that it names. Where there are none it ends under the id that its place gives, as dead letters do."""
    value_sha256: str = ""
    """Of the message's value, to find it by where its place is not known."""


@dataclass
class Fault:
    """What was done to the road, in seconds since the epoch."""

    name: str
    began: float
    ended: float


@dataclass
class Manifest:
    """Where everything lies, and everything that was asked."""

    kafka: str
    """Bootstrap servers, for the checker's own clients: not through any proxy."""
    ledger: str
    """SQLAlchemy URL."""
    images: str
    """Folder of the image store."""
    milvus: str
    """URI."""
    group: str
    """Prefix of the consumer groups: ``<group>-generate`` and ``<group>-judge``."""
    asked: list[Asked] = field(default_factory=list)
    training: list[Trained] = field(default_factory=list)
    poison: list[Poisoned] = field(default_factory=list)
    policies: list[str] = field(default_factory=list)
    """Versions of every policy that was in force at some time."""
    faults: list[Fault] = field(default_factory=list)

    @property
    def samples(self) -> int:
        """How many samples must end, poison that names none not counted."""
        requested = sum(one.count for one in self.asked if one.acknowledged)
        return requested + sum(one.acknowledged for one in self.training)

    def write(self, path: Path) -> None:
        """Write the file; a reader sees the old one or the new one."""
        trial = path.with_suffix(".tmp")
        trial.write_text(json.dumps(asdict(self)))
        trial.replace(path)

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read what ``write`` wrote."""
        raw = json.loads(path.read_text())
        lists: Sequence[tuple[str, type]] = (
            ("asked", Asked),
            ("training", Trained),
            ("poison", Poisoned),
            ("faults", Fault),
        )
        return cls(**raw | {name: [kind(**one) for one in raw[name]] for name, kind in lists})
