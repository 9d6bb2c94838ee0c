"""A regate against its file format: the product's, pandas' over the same columns, and reading them and nothing else."""

import gc
import hashlib
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from streams.core.consent import Consent, Entry, Purpose
from streams.core.decide import decide
from streams.core.gallery import Origin
from streams.core.measurement import Measurement, NearOther
from streams.core.policy import Limits
from streams.core.similarity import unit
from streams.core.subject import judged as subject_of
from streams.events import Decision
from streams.settings import Settings
from streams.testing.examiner import STUB_SPACE
from streams.testing.services import policy
from streams.testing.verdicts import judged
from streams.tools.recording import manifest as manifests
from streams.tools.recording.files import write_whole
from streams.tools.recording.manifest import Manifest, Part, Place, Selection, Snapshot
from streams.tools.recording.reader import Recording
from streams.tools.recording.rows import Row, samples, write_table
from streams.tools.recording.snapshot import CONSENT_FILE, REGISTER
from streams.tools.replay.regate import COLUMNS, regate
from streams.tools.replay.standing import as_recorded
from streams.wheels import Report
from tests.bench.machine import Others

#: Samples of one part, as the recorder makes them.
_A_PART = 10_000
_PEOPLE = 200
#: As with the shipped policy for synthetic people; by the replay's a few samples of a hundred end otherwise.
_BEFORE = policy(similarity=0.6, other_similarity=0.65, margin=0.1, face_side=32, sharpness=1)
_AFTER = policy(similarity=0.62, other_similarity=0.65, margin=0.1, face_side=32, sharpness=1)
_BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


async def regate_part(settings: Settings, *, rounds: int, rows: int, report: Report) -> dict[str, Any]:
    """Measure a recording of so many samples, the three in turns."""
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=settings.data_dir) as folder:
        report(f"a recording of {rows} samples")
        size = _recording(Path(folder), rows)
        recording = Recording(Path(folder))
        standing = as_recorded(recording, _BEGAN)
        work: dict[str, Callable[[], int]] = {
            "regate": lambda: regate(recording, _AFTER, standing).tally.changed,
            "pandas": lambda: _by_pandas(recording, _AFTER.limits),
            "read": lambda: _read(recording),
        }
        changed = _in_turns(work, rounds, rows, report)
    return changed | {"rows": rows, "parts": -(-rows // _A_PART), "bytes": size, "columns": len(COLUMNS)}


def _in_turns(work: dict[str, Callable[[], int]], rounds: int, rows: int, report: Report) -> dict[str, Any]:
    took: dict[str, list[float]] = {name: [] for name in work}
    spent: dict[str, list[float]] = {name: [] for name in work}
    came: dict[str, int] = {}
    others = Others()
    for _ in range(rounds):
        for name, do in work.items():
            gc.collect()
            began, busy = time.perf_counter(), time.process_time()
            came[name] = do()
            took[name].append(time.perf_counter() - began)
            spent[name].append(time.process_time() - busy)
            report(f"{name}: {rows / took[name][-1]:,.0f} samples/s")
    median = {name: statistics.median(each) for name, each in took.items()}
    cores = {name: statistics.median(each) for name, each in spent.items()}
    return {
        "per_core_second": {name: round(rows / seconds) for name, seconds in cores.items()},
        "samples_per_s": {name: round(rows / seconds) for name, seconds in median.items()},
        "rounds": {name: [round(seconds, 3) for seconds in each] for name, each in took.items()},
        "pandas_ratio": round(median["pandas"] / median["regate"], 2),
        "pandas_core_ratio": round(cores["pandas"] / cores["regate"], 2),
        "read_share": round(cores["read"] / cores["regate"], 3),
        "changed": came["regate"],
        "others_cores": [round(others.cores(), 2)],
    }


def _by_pandas(recording: Recording, limits: Limits) -> int:
    """As one would write it down: read the columns, compare, count. No consent, no reasons, no copies."""
    frame = pd.read_parquet(recording.folder / "samples", columns=list(COLUMNS))
    nearest = frame["others_similarity"].explode().astype("float64").groupby(level=0).max()
    flagged = (
        (frame["similarity"] < limits.similarity)
        | (frame["margin"] < limits.margin)
        | (frame["face_side"] < limits.face_side)
        | (frame["sharpness"] < limits.sharpness)
        | (frame["faces"] != 1)
        | (frame["references"] == 0)
        | (nearest >= limits.other_similarity)
    )
    return int((flagged != (frame["decision"] == "flagged")).sum())


def _read(recording: Recording) -> int:
    return sum(len(recording.table(part, COLUMNS)) for part in recording.parts)


def _recording(folder: Path, rows: int) -> int:
    """Write a recording of so many samples, whose measurements repeat from part to part; return its bytes."""
    table = _table(np.random.default_rng(0), min(rows, _A_PART))
    parts = []
    for number, start in enumerate(range(0, rows, _A_PART)):
        part = table.slice(0, min(_A_PART, rows - start))
        ids = [hashlib.sha256(f"{start + row}".encode()).hexdigest()[:32] for row in range(len(part))]
        part = part.set_column(0, "sample_id", pa.array(ids))
        file = f"samples/part-{number:06}.parquet"
        write_table(part, folder / file)
        place = Place(topic="samples.accepted", partition=0, first=start, end=start + len(part))
        parts.append(Part(place=place, file=file, rows=len(part), counts={}, policies={}, galleries={}))
    manifests.write(_manifest(tuple(parts)), folder)
    register = {
        _name(one): (Entry(one + 1, _name(one), "granted", _BEGAN, Purpose.GENERATION),) for one in range(_PEOPLE)
    }
    write_whole(folder / CONSENT_FILE, lambda file: file.write(REGISTER.dump_json(register)))
    return sum(file.stat().st_size for file in folder.rglob("*.parquet"))


def _manifest(parts: tuple[Part, ...]) -> Manifest:
    return Manifest(
        selection=Selection(),
        places=(),
        begun_at=_BEGAN,
        space={},
        embedding_space=STUB_SPACE.fingerprint,
        policy=_BEFORE,
        parts=parts,
        gallery=Snapshot(version="v", domain=Origin.SYNTHETIC.value, identities=_PEOPLE, references=6 * _PEOPLE),
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
        verdict = judged(number, identity=_name(target), similarity=similarity)
        measurement = Measurement(
            sample_id=verdict.sample_id,
            identity=_name(target),
            embedding_space=STUB_SPACE.fingerprint,
            gallery_version="v",
            references=6,
            faces=1,
            face_side=float(np.round(rng.uniform(30, 64), 1)),
            sharpness=float(np.round(rng.uniform(0.9, 20), 1)),
            similarity=similarity,
            others=others,
        )
        reasons = decide(measurement, _BEFORE, Consent.GRANTED).reasons
        decision = Decision.FLAGGED if reasons else Decision.ACCEPTED
        said = verdict.model_copy(update={"reasons": reasons, "decision": decision})
        embedding = unit(rng.normal(size=128).astype(np.float32))
        made.append(Row("samples.accepted", 0, number, number, subject_of(said), said, measurement, embedding))
    return samples(made)
