"""What the report needs of every replayed sample, and the embeddings of some."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from streams.core.replay.codes import Masks
from streams.core.replay.columns import Bools, Floats
from streams.tools.recording.reader import Recording, vectors
from streams.tools.replay.regate import Judged
from streams.tools.replay.rejudge import Again

#: Of so many samples of one step embeddings are looked at, those with the smallest ids.
MOST_EMBEDDINGS = 400

_COLUMNS = ("sample_id", "identity", "step", "strength", "similarity", "image_sha256")


@dataclass(frozen=True, eq=False)
class Gathered:
    """n replayed samples, in the order of their ids."""

    sample_id: Sequence[str]
    identity: Sequence[str]
    image_sha256: Sequence[str | None]
    by: str
    """What the samples are grouped by: ``step``, or ``σ`` where none has a step."""
    group: Floats
    """Shape (n,); NaN where a sample has none."""
    before: Masks
    after: Masks
    judged: Bools
    was: Floats
    """Similarity as it was recorded; NaN where there is none. So is ``now``, of the replay."""
    now: Floats
    embeddings: Mapping[int, npt.NDArray[np.float32]]
    """By place, of at most ``MOST_EMBEDDINGS`` of each group."""

    @property
    def groups(self) -> list[float]:
        """The groups, rising."""
        return sorted({float(one) for one in self.group[~np.isnan(self.group)]})


def gather(recording: Recording, parts: Sequence[Judged], looks: Mapping[str, Again] | None) -> Gathered:
    """Return what is shown of the replayed samples.

    Args:
        recording: What was replayed.
        parts: What came of it.
        looks: What was seen at a second look, by sample id; None where nobody looked again.
    """
    columns: dict[str, list[Any]] = {name: [] for name in _COLUMNS}
    for one in parts:
        table = recording.table(one.part, _COLUMNS).filter(one.rows)
        for name in _COLUMNS:
            columns[name] += table[name].to_pylist()
    masks = [
        np.concatenate([getattr(one, name)[one.rows] for one in parts] or [[]])
        for name in ("before", "after", "judged")
    ]
    ids = np.array(columns["sample_id"], dtype=np.str_)
    order = np.argsort(ids, kind="stable")
    steps, strengths, was = (_floats(columns[name])[order] for name in ("step", "strength", "similarity"))
    by, group = ("σ", strengths) if np.isnan(steps).all() else ("step", steps)
    ordered = ids[order].tolist()
    return Gathered(
        sample_id=ordered,
        identity=[columns["identity"][place] for place in order],
        image_sha256=[columns["image_sha256"][place] for place in order],
        by=by,
        group=group,
        before=masks[0][order].astype(np.uint16),
        after=masks[1][order].astype(np.uint16),
        judged=masks[2][order].astype(np.bool_),
        was=was,
        now=was if looks is None else _seen_again(ordered, was, looks),
        embeddings=_embeddings(recording, parts, ordered, group, looks),
    )


def _floats(values: Sequence[float | None]) -> Floats:
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _seen_again(ids: Sequence[str], was: Floats, looks: Mapping[str, Again]) -> Floats:
    """Return similarities now; those of samples that nobody looked at again stay."""
    found = [looks[key].similarity if key in looks else value for key, value in zip(ids, was.tolist(), strict=True)]
    return _floats(found)


def _embeddings(
    recording: Recording,
    parts: Sequence[Judged],
    ids: Sequence[str],
    group: Floats,
    looks: Mapping[str, Again] | None,
) -> dict[int, npt.NDArray[np.float32]]:
    wanted: dict[str, int] = {}
    for at in sorted({float(value) for value in group[~np.isnan(group)]}):
        for place in np.flatnonzero(group == at)[:MOST_EMBEDDINGS].tolist():
            wanted[ids[place]] = place
    if looks is not None:
        again = {place: looks[key].embedding for key, place in wanted.items() if key in looks}
        return {place: vector for place, vector in sorted(again.items()) if vector is not None}
    found = {}
    for one in parts:
        table = recording.table(one.part, ("sample_id", "embedding")).filter(one.rows)
        for key, vector in zip(table["sample_id"].to_pylist(), vectors(table["embedding"]), strict=True):
            if vector is not None and key in wanted:
                found[wanted[key]] = vector
    return dict(sorted(found.items()))
