"""Look at recorded images again, with another embedder, gallery or policy, by the steps that judge the stream."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from streams.core.biometrics.cohort import Cohort
from streams.core.consent import Entry
from streams.core.decide import decide
from streams.core.faces import Sighting
from streams.core.imprints import Imprints
from streams.core.measurement import Measurement
from streams.core.policy import Policy, refuse_elsewhere
from streams.core.replay.codes import mask
from streams.core.subject import Subject
from streams.events import ImageRef, NearOriginal
from streams.ports import Agreed, Clock, Compared, Imprinter, Searched, SecondVerifier, TwofoldExaminer
from streams.steps.appraise import Appraised, appraise
from streams.steps.consent import answer
from streams.tools.recording.reader import Recording
from streams.tools.replay.judged import Again, Judged, Seen, unseen
from streams.tools.replay.regate import COLUMNS, Sums, domain_of, regate_part
from streams.tools.replay.result import Replayed
from streams.tools.replay.standing import Standing

#: Frames of a clip are judged one by one, here too; recordings of before there were clips do not have these.
_CLIP = ("clip_id", "frame_index", "frames")
_SUBJECT = tuple(one.name for one in fields(Subject) if one.name not in ("image", *_CLIP))
_COLUMNS = tuple(dict.fromkeys((*COLUMNS, *_SUBJECT, "image_sha256", "image_size", "measurement")))


@dataclass(frozen=True)
class Bench:
    """What images are judged with. Implements ``ports.Appraising``."""

    examiner: TwofoldExaminer
    imprinter: Imprinter
    gallery: Searched
    originals: Compared
    consent: Agreed
    policy: Policy
    now: Clock
    cohort: Cohort | None = None
    second: SecondVerifier | None = None


@dataclass(frozen=True)
class Register:
    """Entries that were read before. Implements ``ports.Agreed``."""

    held: Mapping[str, Sequence[Entry]]

    async def entries(self, identities: Sequence[str]) -> dict[str, tuple[Entry, ...]]:
        """See ``ports.Agreed``."""
        return {name: tuple(self.held.get(name, ())) for name in identities}


class OriginalsAsRecorded:
    """Implements ``ports.Compared``: compares with nothing, as what pictures were near to is in the recording."""

    async def about(self) -> int:
        """See ``ports.Compared``."""
        return 0

    async def nearest(self, probes: Sequence[Imprints]) -> list[tuple[NearOriginal, ...]]:
        """See ``ports.Compared``."""
        return [() for _ in probes]


async def rejudge(
    recording: Recording,
    bench: Bench,
    standing: Standing,
    *,
    gallery: str,
    batch_size: int,
    seen: Seen = unseen,
) -> Replayed:
    """Return what is said of recorded images now.

    Nothing is looked at of those who do not agree: what was measured of them is judged, as by ``regate``; so are
    samples that were never made. Skipped are, beside those that ``regate`` skips, samples whose image was not recorded
    (``image-missing``) or is none (``undecodable``).

    Args:
        recording: The samples.
        bench: What they are judged with.
        standing: Who agrees.
        gallery: Version of the gallery in ``bench``.
        batch_size: Images that are looked at together; another one may move a similarity by a little.
        seen: Told of every part.

    Raises:
        PolicyRefused: If the policy does not hold for the gallery or the embedding space.
    """
    policy, space = bench.policy, bench.examiner.space.fingerprint
    refuse_elsewhere(policy, embedding_space=space, domain=domain_of(recording))
    sums = Sums(recording)
    for part in recording.parts:
        judged = await _Part(recording, bench, standing, gallery, batch_size).judge(part, sums)
        sums.add(judged)
        seen(judged)
    return sums.replayed("rejudge", policy, standing, space=space, gallery=gallery)


@dataclass(frozen=True)
class _Part:
    recording: Recording
    bench: Bench
    standing: Standing
    gallery: str
    batch_size: int
    looks: dict[str, Again] = field(default_factory=dict)
    """What was seen, by sample id."""

    async def judge(self, part: Path, sums: Sums) -> Judged:
        table = self.recording.table(part, _COLUMNS)
        stored = regate_part(part, table, self.bench.policy, self.standing, type(sums.skipped)())
        after, rows = stored.after.copy(), stored.rows.copy()
        listed = table.select([*_SUBJECT, "image_sha256", "image_size", "measurement"]).to_pylist()
        erased = self.standing.erased(table)
        sums.skipped["erased"] += int(np.count_nonzero(erased))
        to_see = []
        for place, row in enumerate(listed):
            agreed = answer(_subject(row), self.standing.entries, self.standing.at).granted
            if row["image_sha256"] is None or not agreed or erased[place]:
                sums.skipped["unmeasured"] += int(not rows[place] and not erased[place])
                continue
            to_see.append(place)
        for start in range(0, len(to_see), self.batch_size):
            together = to_see[start : start + self.batch_size]
            found = await self._look([listed[place] for place in together], sums)
            for place in together:
                sample_id = listed[place]["sample_id"]
                rows[place] = sample_id in found
                after[place] = found.get(sample_id, 0)
        looks = {place: self.looks[key] for place in to_see if (key := listed[place]["sample_id"]) in self.looks}
        return Judged(part, stored.before, stored.judged, after, rows, stored.consent, looks)

    async def _look(self, rows: Sequence[Mapping[str, Any]], sums: Sums) -> dict[str, int]:
        """Return the reasons against each sample that can be seen."""
        images = {row["sample_id"]: self.recording.image(row["image_sha256"]) for row in rows}
        encoded = {key: one for key, one in images.items() if one is not None}
        seen = await self.bench.examiner.examine(list(encoded.values()))
        sightings = {key: one for key, one in zip(encoded, seen, strict=True) if isinstance(one, Sighting)}
        sums.skipped["image-missing"] += len(rows) - len(encoded)
        sums.skipped["undecodable"] += len(encoded) - len(sightings)
        by_id = {row["sample_id"]: row for row in rows}
        subjects = {key: _subject(by_id[key]) for key in sightings}
        appraised = await appraise(subjects, sightings, self.bench, gallery_version=self.gallery, examine_ms=0.0)
        for one in appraised:
            self.looks[one.measurement.sample_id] = Again(one.measurement.similarity, one.embedding)
        return {one.measurement.sample_id: self._reasons(one, by_id[one.measurement.sample_id]) for one in appraised}

    def _reasons(self, appraised: Appraised, row: Mapping[str, Any]) -> int:
        """Return the reasons; with the originals that the picture was near to before, where none are searched now."""
        codes = [reason.code for reason in appraised.judged.reasons]
        if isinstance(self.bench.originals, OriginalsAsRecorded) and row["measurement"] is not None:
            near = Measurement.model_validate_json(row["measurement"]).originals
            agreed = answer(_subject(row), self.standing.entries, self.standing.at)
            measurement = appraised.measurement.model_copy(update={"originals": near})
            judgement = decide(measurement, self.bench.policy, agreed.consent, agreed.unmet)
            codes = [reason.code for reason in judgement.reasons]
        return mask(codes)


def _subject(row: Mapping[str, Any]) -> Subject:
    sha256 = row["image_sha256"]
    image = ImageRef(sha256=sha256, size=row["image_size"]) if sha256 else None
    return Subject(**{name: row[name] for name in _SUBJECT}, image=image)
