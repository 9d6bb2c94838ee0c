"""One recorded sample, and the Parquet columns that it fills. The only importer of pyarrow beside the reader."""

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from streams.core.faces import Embedding
from streams.core.measurement import Measurement
from streams.core.replay.codes import codes, mask
from streams.core.replay.columns import flat
from streams.core.subject import Subject
from streams.events import ImageRef, SampleJudged, to_json
from streams.tools.recording.files import write_whole

#: Columns in which hardly a number comes twice: with a dictionary of them they take more than twice as long to read.
_VECTORS = frozenset({"embedding", "centroid"})
_WORD = pa.dictionary(pa.int32(), pa.string())

#: Columns of a sample, in their order. Those of the measurement are null where nothing was measured.
SAMPLES = pa.schema(
    [
        ("sample_id", pa.string()),
        ("topic", _WORD),
        ("partition", pa.int32()),
        ("offset", pa.int64()),
        ("time", pa.timestamp("ms", tz="UTC")),
        ("kind", _WORD),
        ("source", _WORD),
        ("request_id", pa.string()),
        ("step", pa.int64()),
        ("index", pa.int64()),
        ("identity", _WORD),
        ("model", _WORD),
        ("model_version", _WORD),
        ("seed", pa.int64()),
        ("strength", pa.float64()),
        ("territory", _WORD),
        ("clip_id", _WORD),
        ("frame_index", pa.int64()),
        ("frames", pa.int64()),
        ("image_sha256", pa.string()),
        ("image_size", pa.int64()),
        ("decision", _WORD),
        ("reasons", pa.list_(pa.string())),
        ("policy_version", _WORD),
        ("embedding_space", _WORD),
        ("gallery_version", _WORD),
        ("references", pa.int64()),
        ("protected", pa.bool_()),
        ("faces", pa.int64()),
        ("face_side", pa.float64()),
        ("sharpness", pa.float64()),
        ("similarity", pa.float64()),
        ("margin", pa.float64()),
        ("copy_bits", pa.int64()),
        ("copy_similarity", pa.float64()),
        ("others", pa.list_(pa.string())),
        ("others_similarity", pa.list_(pa.float64())),
        ("others_resemble_target", pa.list_(pa.float64())),
        ("others_protected", pa.list_(pa.bool_())),
        ("measurement", pa.string()),
        ("verdict", pa.string()),
        ("embedding", pa.list_(pa.float32())),
    ]
)
IDENTITIES = pa.schema(
    [
        ("identity", pa.string()),
        ("origin", pa.string()),
        ("references", pa.int64()),
        ("concentration", pa.float64()),
        ("protected", pa.bool_()),
        ("consent", pa.string()),
        ("centroid", pa.list_(pa.float32())),
    ]
)
REFERENCES = pa.schema(
    [
        ("reference_id", pa.string()),
        ("identity", pa.string()),
        ("origin", pa.string()),
        ("image_sha256", pa.string()),
        ("embedding", pa.list_(pa.float32())),
    ]
)


@dataclass(frozen=True, eq=False)
class Row:
    """One sample, as it was published and judged."""

    topic: str
    partition: int
    offset: int
    time_ms: int
    subject: Subject
    judged: SampleJudged | None
    """None where it was not judged yet."""
    measurement: Measurement | None
    embedding: Embedding | None
    """None where there is no face, or consent does not stand."""


def samples(rows: Sequence[Row]) -> pa.Table:
    """Return the rows as a table."""
    return pa.Table.from_pylist([_sample(row) for row in rows], schema=SAMPLES)


def write_table(table: pa.Table, path: Path) -> None:
    """Write one Parquet file, whole or not at all. Blocks; raises BadInput where it cannot."""
    words = [_path(column) for column in table.schema if column.name not in _VECTORS]
    write_whole(path, lambda file: pq.write_table(table, file, compression="zstd", use_dictionary=words))


def _path(column: pa.Field) -> str:
    return f"{column.name}.list.element" if pa.types.is_list(column.type) else str(column.name)


def _sample(row: Row) -> dict[str, Any]:
    described = asdict(row.subject)
    image: ImageRef | None = described.pop("image")
    return {
        **described,
        "topic": row.topic,
        "partition": row.partition,
        "offset": row.offset,
        "time": row.time_ms,
        "image_sha256": image.sha256 if image else None,
        "image_size": image.size if image else None,
        "embedding": None if row.embedding is None else row.embedding.tolist(),
        **_judged(row.judged),
        **_measured(row.measurement),
    }


def _judged(judged: SampleJudged | None) -> dict[str, Any]:
    if judged is None:
        return {}
    return {
        "decision": judged.decision.value,
        # Each once: bits of them add up.
        "reasons": [code.value for code in codes(mask(reason.code for reason in judged.reasons))],
        "policy_version": judged.policy_version,
        "verdict": to_json(judged).decode(),
    }


def _measured(measurement: Measurement | None) -> dict[str, Any]:
    if measurement is None:
        return {}
    columns = flat(measurement)
    others = columns.pop("others")
    return {
        **columns,
        "embedding_space": measurement.embedding_space,
        "gallery_version": measurement.gallery_version,
        "others": _each(others, "identity"),
        "others_similarity": _each(others, "similarity"),
        "others_resemble_target": _each(others, "resembles_target"),
        "others_protected": _each(others, "protected"),
        "measurement": measurement.model_dump_json(exclude_none=True),
    }


def _each(others: Iterable[dict[str, Any]], name: str) -> list[Any]:
    return [other[name] for other in others]
