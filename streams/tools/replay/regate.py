"""Judge what was measured by another policy: nothing is computed anew, so a recording goes by as fast as it is read."""

from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa

from streams.core.gallery import Origin
from streams.core.measurement import Measurement
from streams.core.policy import Policy, refuse_elsewhere
from streams.core.replay.changes import NOTHING, tally
from streams.core.replay.codes import Masks
from streams.core.replay.rule import has_columns, regate_one_by_one
from streams.core.replay.rule import regate as regate_columns
from streams.tools.recording.reader import JUDGED, USE, Recording, ids, places, verdicts
from streams.tools.replay.judged import Judged, Seen, unseen
from streams.tools.replay.result import Changes, Ids, Mode, Replayed
from streams.tools.replay.standing import Standing

COLUMNS = (*JUDGED, *USE)


def regate(recording: Recording, policy: Policy, standing: Standing, *, seen: Seen = unseen) -> Replayed:
    """Return what a policy says of recorded measurements.

    Skipped are samples of whom was forgotten (``erased``), that were never measured (``unmeasured``), or in another
    embedding space than the policy's (``elsewhere``).

    Args:
        recording: The samples.
        policy: To judge by.
        standing: Who agrees.
        seen: Told of every part.

    Raises:
        PolicyRefused: If the policy does not hold for the recording's gallery or embedding space.
    """
    space = recording.manifest.embedding_space
    refuse_elsewhere(policy, embedding_space=space, domain=domain_of(recording))
    sums = Sums(recording)
    for part in recording.parts:
        columns = COLUMNS if has_columns(policy) else (*COLUMNS, "measurement")
        judged = regate_part(part, recording.table(part, columns), policy, standing, sums.skipped)
        sums.add(judged)
        seen(judged)
    return sums.replayed("regate", policy, standing, space=space, gallery="")


def regate_part(part: Path, table: pa.Table, policy: Policy, standing: Standing, skipped: "Counter[str]") -> Judged:
    """Judge the rows of one part, and count what is skipped and why.

    It has the columns ``COLUMNS``, and ``measurement`` where not ``has_columns(policy)``.
    """
    found = verdicts(table)
    spaces, names = places(table["embedding_space"])
    elsewhere = np.array([name != policy.holds_for.embedding_space for name in names], dtype=np.bool_)[spaces]
    erased = standing.erased(table)
    measured = found.measured & ~erased
    consent = standing.consents(table)
    skipped["erased"] += int(np.count_nonzero(erased))
    skipped["unmeasured"] += int(np.count_nonzero(~found.measured & ~erased))
    skipped["elsewhere"] += int(np.count_nonzero(elsewhere & measured))
    if has_columns(policy):
        after = regate_columns(found.columns, policy.limits, consent)
    else:
        listed = table["measurement"].to_pylist()
        measurements = [None if one is None else Measurement.model_validate_json(one) for one in listed]
        after = regate_one_by_one(measurements, policy, consent)
    return Judged(part, found.before, found.judged, after, measured & ~elsewhere, consent)


def domain_of(recording: Recording) -> Origin | None:
    """Return what kind of references the recording's gallery has; None where nobody is enrolled."""
    gallery = recording.manifest.gallery
    return Origin(gallery.domain) if gallery is not None and gallery.domain else None


class Sums:
    """Adds up what parts came to."""

    def __init__(self, recording: Recording) -> None:
        """Begin with nothing."""
        self._recording = recording
        self._tally = NOTHING
        self._changes: list[tuple[Ids, Masks, Masks]] = []
        self.skipped: Counter[str] = Counter()

    def add(self, judged: Judged) -> None:
        """Take in one part."""
        rows = judged.rows
        self._tally = self._tally.plus(tally(judged.before[rows], judged.after[rows], judged.judged[rows]))
        moved = np.flatnonzero(judged.changed)
        if not len(moved):
            return
        known = ids(self._recording.table(judged.part, ["sample_id"])[0])
        self._changes.append((known[moved], judged.before[moved], judged.after[moved]))

    def replayed(self, mode: Mode, policy: Policy, standing: Standing, *, space: str, gallery: str) -> Replayed:
        """Return the outcome."""
        return Replayed(
            mode=mode,
            policy=policy.version,
            policies=self._recording.manifest.policies,
            embedding_space=space,
            gallery=gallery,
            consent="now" if standing.live else "recorded",
            tally=self._tally,
            skipped=self.skipped,
            changes=Changes.of(self._changes),
        )
