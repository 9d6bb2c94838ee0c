"""A recording of as many samples as are wanted, of a training run whose samples are like those of a generator."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa

from streams.core.consent import Consent, Entry, Purpose
from streams.core.decide import decide
from streams.core.gallery import Origin
from streams.core.measurement import Measurement, NearOther
from streams.core.similarity import unit
from streams.core.subject import judged as subject_of
from streams.events import Decision
from streams.testing.examiner import STUB_SPACE
from streams.testing.services import policy
from streams.testing.verdicts import judged
from streams.tools.recording import manifest as manifests
from streams.tools.recording.files import write_whole
from streams.tools.recording.manifest import Manifest, Part, Place, Selection, Snapshot
from streams.tools.recording.rows import IDENTITIES, REFERENCES, Row, samples, write_table
from streams.tools.recording.snapshot import CONSENT_FILE, IDENTITIES_FILE, REFERENCES_FILE, REGISTER

#: Samples of one part, as the recorder makes them; and of one step.
A_PART = 10_000
_PEOPLE, _REFERENCES = 200, 6
_IMAGES = _PEOPLE * _REFERENCES
_DIMENSIONS = 128
#: As with the shipped policy for synthetic people; by the replay's a few samples of a hundred end otherwise.
BEFORE = policy(similarity=0.6, other_similarity=0.65, margin=0.1, face_side=32, sharpness=1)
AFTER = policy(similarity=0.62, other_similarity=0.65, margin=0.1, face_side=32, sharpness=1)
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def recording_of(folder: Path, rows: int) -> int:
    """Write a recording of so many samples, whose measurements repeat from part to part; return its bytes."""
    table = _table(np.random.default_rng(0), min(rows, A_PART))
    parts = []
    for number, start in enumerate(range(0, rows, A_PART)):
        part = table.slice(0, min(A_PART, rows - start))
        ids = [hashlib.sha256(f"{start + row}".encode()).hexdigest()[:32] for row in range(len(part))]
        part = part.set_column(0, "sample_id", pa.array(ids))
        part = part.set_column(part.schema.get_field_index("step"), "step", pa.array([100 * number] * len(part)))
        file = f"samples/part-{number:06}.parquet"
        write_table(part, folder / file)
        place = Place(topic="samples.accepted", partition=0, first=start, end=start + len(part))
        parts.append(Part(place=place, file=file, rows=len(part), counts={}, policies={}, galleries={}))
    manifests.write(_manifest(tuple(parts)), folder)
    register = {
        _name(one): (Entry(one + 1, _name(one), "granted", BEGAN, Purpose.GENERATION),) for one in range(_PEOPLE)
    }
    write_whole(folder / CONSENT_FILE, lambda file: file.write(REGISTER.dump_json(register)))
    _gallery(folder)
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))


def _manifest(parts: tuple[Part, ...]) -> Manifest:
    return Manifest(
        selection=Selection(),
        places=(),
        begun_at=BEGAN,
        space={},
        embedding_space=STUB_SPACE.fingerprint,
        policy=BEFORE,
        parts=parts,
        gallery=Snapshot(version="v", domain=Origin.SYNTHETIC.value, identities=_PEOPLE, references=_IMAGES),
        complete=True,
    )


def _name(number: int) -> str:
    return f"person-{number:03}"


def _table(rng: np.random.Generator, rows: int) -> pa.Table:
    """Return samples like those of a generator that wanders: similarities from 1 down to strangers'."""
    made = []
    for number in range(rows):
        target = int(rng.integers(_PEOPLE))
        similarity = round(float(np.clip(rng.normal(0.75, 0.12), -1, 1)), 4)
        near = rng.choice(_PEOPLE - 1, size=4, replace=False)
        others = tuple(
            NearOther(
                identity=_name((target + 1 + int(one)) % _PEOPLE),
                similarity=round(float(np.clip(rng.normal(0.3, 0.12), -1, 1)), 4),
                resembles_target=round(float(rng.uniform(-0.2, 0.4)), 4),
            )
            for one in near
        )
        verdict = judged(number, kind="training", source="run-1", step=0, identity=_name(target), similarity=similarity)
        measurement = Measurement(
            sample_id=verdict.sample_id,
            identity=_name(target),
            embedding_space=STUB_SPACE.fingerprint,
            gallery_version="v",
            references=_REFERENCES,
            faces=1,
            face_side=float(np.round(rng.uniform(30, 64), 1)),
            sharpness=float(np.round(rng.uniform(0.9, 20), 1)),
            similarity=similarity,
            others=others,
        )
        reasons = decide(measurement, BEFORE, Consent.GRANTED).reasons
        decision = Decision.FLAGGED if reasons else Decision.ACCEPTED
        said = verdict.model_copy(update={"reasons": reasons, "decision": decision})
        embedding = unit(rng.normal(size=_DIMENSIONS).astype(np.float32))
        made.append(Row("samples.accepted", 0, number, number, subject_of(said), said, measurement, embedding))
    return samples(made)


def _gallery(folder: Path) -> None:
    rng = np.random.default_rng(1)
    images, people = [], []
    for number in range(_PEOPLE):
        of_them = {"identity": _name(number), "origin": Origin.SYNTHETIC.value}
        vectors = [unit(rng.normal(size=_DIMENSIONS).astype(np.float32)).tolist() for _ in range(_REFERENCES)]
        images += [
            {**of_them, "reference_id": f"{number}-{place}", "image_sha256": "0" * 64, "embedding": vector}
            for place, vector in enumerate(vectors)
        ]
        known = {"references": _REFERENCES, "concentration": 0.9, "protected": False, "consent": Consent.GRANTED.value}
        people.append({**of_them, **known, "centroid": vectors[0]})
    write_table(pa.Table.from_pylist(images, schema=REFERENCES), folder / REFERENCES_FILE)
    write_table(pa.Table.from_pylist(people, schema=IDENTITIES), folder / IDENTITIES_FILE)
