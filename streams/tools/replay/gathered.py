"""What the report needs of a replay: sums over every step, and some samples of each. It grows with no recording."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from streams.core.faces import Embedding
from streams.core.replay.codes import primary
from streams.core.replay.columns import Floats
from streams.core.similarity import DECIMALS
from streams.events import ReasonCode
from streams.tools.recording.reader import Recording, ids, vectors
from streams.tools.replay.fewest import SAMPLE, Fewest, Samples
from streams.tools.replay.groups import Groups
from streams.tools.replay.judged import Judged

#: Of so many samples of one step embeddings are looked at, those with the smallest ids.
MOST_EMBEDDINGS = 400
#: So many samples of one kind of change have a card.
CARDS = 24

Counts = npt.NDArray[np.float64]
"""By group, shape (g,): whole numbers, which add up to the same in any order."""

_CODES = len(ReasonCode)


@dataclass(frozen=True, eq=False)
class Sums:
    """What adds up over the samples of each group."""

    samples: Counts
    judged: Counts
    """Had a verdict before."""
    accepted_before: Counts
    accepted_after: Counts
    was: Counts
    """Sum of recorded similarities, in what these are rounded to."""
    known_before: Counts
    """Of so many; ``now`` and ``known_after`` are of the replay."""
    now: Counts
    known_after: Counts

    @classmethod
    def of(cls, groups: int, samples: Samples, judged: npt.NDArray[np.bool_]) -> Self:
        """Return the sums of these samples."""
        number = samples["group"]

        def count(rows: npt.NDArray[np.bool_], weights: Floats | None = None) -> Counts:
            here = rows & (number >= 0)
            found = np.bincount(number[here], None if weights is None else weights[here], minlength=groups)
            return found.astype(np.float64)

        was, now = ~np.isnan(samples["was"]), ~np.isnan(samples["now"])
        return cls(
            samples=count(np.ones(len(samples), dtype=np.bool_)),
            judged=count(judged),
            accepted_before=count(judged & (samples["before"] == 0)),
            accepted_after=count(samples["after"] == 0),
            was=count(was, np.rint(samples["was"] * 10**DECIMALS)),
            known_before=count(was),
            now=count(now, np.rint(samples["now"] * 10**DECIMALS)),
            known_after=count(now),
        )

    def plus(self, other: Self) -> Self:
        """Return both together."""
        return type(self)(*(getattr(self, one.name) + getattr(other, one.name) for one in fields(self)))


@dataclass(frozen=True, eq=False)
class Shown:
    """A sample that is on the map, or has a card."""

    sample_id: str
    identity: str
    image_sha256: str | None
    """None where there is no image, or nobody may look at it."""
    group: int
    """Its step's, or the kind of its change."""
    at: float | None
    """Its step or strength."""
    before: int
    after: int
    was: float | None
    now: float | None
    embedding: Embedding | None


@dataclass(frozen=True, eq=False)
class Gathered:
    """Of all replayed samples together."""

    groups: Groups
    sums: Sums
    embedded: tuple[Shown, ...]
    """By step and id, those of which an embedding is known."""
    changed: tuple[Shown, ...]
    """By kind of change and id; see ``kind_of``."""
    kinds: npt.NDArray[np.int64]
    """How often a verdict changed in each way."""


class Gatherer:
    """Is told of every part of a replay, and holds what the report needs of it. A ``judged.Seen``."""

    def __init__(self, recording: Recording) -> None:
        """Begin with nothing."""
        self._recording = recording
        self._groups = Groups.of(recording)
        self._sums = Sums(*[np.zeros(len(self._groups)) for _ in fields(Sums)])
        self._embedded = Fewest(len(self._groups), MOST_EMBEDDINGS)
        self._changed = Fewest(2 * _CODES + 1, CARDS)
        self._kinds = np.zeros(2 * _CODES + 1, dtype=np.int64)
        self._parts: list[Path] = []
        self._seen_again: dict[bytes, Embedding | None] | None = None
        """By sample id, of those that may be shown; None where nobody looked again."""

    def __call__(self, judged: Judged) -> None:
        """Take in one part."""
        table = self._recording.table(judged.part, ("sample_id", self._groups.column, "similarity"))
        samples = self._samples(judged, table)
        self._parts.append(judged.part)
        self._sums = self._sums.plus(Sums.of(len(self._groups), samples, judged.judged[judged.rows]))
        self._embedded.add(samples[samples["agreed"]])
        moved = samples[judged.changed[judged.rows]]
        moved["group"] = kind_of(moved["before"], moved["after"])
        self._kinds += np.bincount(moved["group"], minlength=len(self._kinds))
        self._changed.add(moved)
        if judged.looks is not None:
            self._keep(judged, samples)

    def _samples(self, judged: Judged, table: pa.Table) -> Samples:
        rows = np.flatnonzero(judged.rows)
        samples = np.zeros(len(rows), dtype=SAMPLE)
        samples["sample_id"] = ids(table["sample_id"])[rows]
        samples["group"] = self._groups.numbers(table[self._groups.column])[rows]
        samples["part"], samples["row"] = len(self._parts), rows
        samples["before"], samples["after"] = judged.before[rows], judged.after[rows]
        samples["agreed"] = judged.agreed[rows]
        samples["was"] = np.asarray(table["similarity"].fill_null(float("nan")))[rows]
        samples["now"] = samples["was"]
        for place, row in enumerate(rows.tolist() if judged.looks else ()):
            if (again := (judged.looks or {}).get(row)) is not None:
                samples["now"][place] = np.nan if again.similarity is None else again.similarity
        return samples

    def _keep(self, judged: Judged, samples: Samples) -> None:
        """Keep what was seen of samples that may be shown, and nothing of those that cannot be any more."""
        row_of = dict(zip(samples["sample_id"].tolist(), samples["row"].tolist(), strict=True))
        before, looks, kept = self._seen_again or {}, judged.looks or {}, self._embedded.kept()["sample_id"].tolist()
        self._seen_again = {}
        for key in kept:
            if key in before:
                self._seen_again[key] = before[key]
            elif key in row_of and row_of[key] in looks:
                self._seen_again[key] = looks[row_of[key]].embedding

    def gathered(self) -> Gathered:
        """Return what came together. Reads the embeddings of samples that are shown."""
        embedded = self._shown(self._embedded.kept(), embeddings=True)
        return Gathered(
            groups=self._groups,
            sums=self._sums,
            embedded=tuple(one for one in embedded if one.embedding is not None),
            changed=tuple(self._shown(self._changed.kept(), embeddings=False)),
            kinds=self._kinds,
        )

    def _shown(self, samples: Samples, *, embeddings: bool) -> list[Shown]:
        """Return samples with what the recording says of them, in their order."""
        recorded = embeddings and self._seen_again is None
        columns = ("identity", "image_sha256", self._groups.column, *(["embedding"] if recorded else []))
        found: dict[int, Shown] = {}
        for part in np.unique(samples["part"]).tolist():
            places = np.flatnonzero(samples["part"] == part)
            table = self._recording.table(self._parts[part], columns).take(samples["row"][places])
            known = vectors(table["embedding"]) if recorded else self._again(samples[places], wanted=embeddings)
            listed = zip(places.tolist(), *(table[name].to_pylist() for name in columns[:3]), known, strict=True)
            for place, identity, image_sha256, at, embedding in listed:
                found[place] = _shown(samples[place], identity, image_sha256, at, embedding)
        return [found[place] for place in range(len(samples))]

    def _again(self, samples: Samples, *, wanted: bool) -> list[Embedding | None]:
        seen = (self._seen_again or {}) if wanted else {}
        return [seen.get(key) for key in samples["sample_id"].tolist()]


def kind_of(before: npt.NDArray[np.uint16], after: npt.NDArray[np.uint16]) -> npt.NDArray[np.int32]:
    """Return how verdicts changed: of c reasons, i is newly flagged for reason i, c + i newly accepted, 2c all else."""
    kinds = np.full(len(before), 2 * _CODES)
    kinds = np.where(after == 0, _CODES + primary(before), kinds)
    return np.where(before == 0, primary(after), kinds).astype(np.int32)


def _shown(
    sample: np.void, identity: str, image_sha256: str | None, at: float | None, embedding: Embedding | None
) -> Shown:
    was, now = float(sample["was"]), float(sample["now"])
    return Shown(
        sample_id=sample["sample_id"].decode(),
        identity=identity,
        image_sha256=image_sha256 if sample["agreed"] else None,
        group=int(sample["group"]),
        at=at,
        before=int(sample["before"]),
        after=int(sample["after"]),
        was=None if np.isnan(was) else was,
        now=None if np.isnan(now) else now,
        embedding=embedding,
    )
