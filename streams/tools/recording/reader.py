"""Reads recordings, column by column."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from streams.core.consent import Entry
from streams.core.gallery import Identity, Origin, Reference
from streams.core.replay.codes import Masks, bit
from streams.core.replay.columns import Bools, Columns, Maybe, Others
from streams.errors import BadInput
from streams.events import ReasonCode
from streams.tools.recording import images, manifest
from streams.tools.recording.manifest import Manifest
from streams.tools.recording.snapshot import CONSENT_FILE, IDENTITIES_FILE, REFERENCES_FILE, REGISTER

_MAYBE = ("faces", "face_side", "sharpness", "similarity", "margin", "copy_bits", "copy_similarity")
_OTHERS = ("others_similarity", "others_resemble_target", "others_protected")

#: What a use of somebody's likeness is made of.
USE = ("identity", "kind", "model", "model_version", "territory")
#: What a verdict is made of.
JUDGED = ("decision", "reasons", "embedding_space", "references", "protected", *_MAYBE, *_OTHERS)


class Recording:
    """A complete recording, opened."""

    def __init__(self, folder: Path) -> None:
        """Read what a folder says of itself.

        Raises:
            BadInput: If it is no recording, or one that was never finished.
        """
        held = manifest.read(folder)
        if held is None:
            raise BadInput(f"expected a recording, {folder} has no {manifest.FILE}: make one with `likeness record`")
        if not held.complete:
            raise BadInput(f"the recording {folder} is not complete: give its `likeness record` again, which goes on")
        self.folder = folder
        self.manifest: Manifest = held

    @property
    def parts(self) -> list[Path]:
        """The files with samples, in order."""
        return [self.folder / part.file for part in self.manifest.parts if part.file]

    def table(self, part: Path, columns: Sequence[str]) -> pa.Table:
        """Return columns of one part.

        Raises:
            BadInput: If the file is not what it was when it was written.
        """
        return _read(part, columns)

    def names(self) -> set[str]:
        """Return everybody whom samples should show."""
        return {name for part in self.parts for name in _read(part, ["identity"])[0].unique().to_pylist()}

    def image(self, sha256: str) -> bytes | None:
        """Return an image; None where it was not recorded. Blocks."""
        return images.image(self.folder, sha256)

    @cached_property
    def register(self) -> dict[str, tuple[Entry, ...]]:
        """What everybody had agreed to."""
        return REGISTER.validate_json((self.folder / CONSENT_FILE).read_bytes())

    @cached_property
    def identities(self) -> dict[str, Identity]:
        """Who was enrolled."""
        return {row["identity"]: _identity(row) for row in _rows(self.folder / IDENTITIES_FILE, "centroid")}

    @cached_property
    def references(self) -> list[Reference]:
        """With which images, by identity and id."""
        return [_reference(row) for row in _rows(self.folder / REFERENCES_FILE, "embedding")]


@dataclass(frozen=True, eq=False)
class Verdicts:
    """The verdicts of one part, as columns of n rows."""

    columns: Columns
    before: Masks
    judged: Bools
    """Which had a verdict."""
    measured: Bools
    """Which were measured; what is in the columns of others means nothing."""


def verdicts(table: pa.Table) -> Verdicts:
    """Return the columns ``JUDGED`` of a part as a verdict needs them."""
    referenced = _maybe(table["references"])
    columns = Columns(
        references=referenced.values.astype(np.int64),
        protected=_bools(table["protected"]),
        others=_others(table),
        **{name: _maybe(table[name]) for name in _MAYBE},
    )
    return Verdicts(columns, _reasons(table["reasons"]), _there(table["decision"]), referenced.there)


def places(column: pa.ChunkedArray) -> tuple[npt.NDArray[np.int64], list[str | None]]:
    """Return a column of few words as their places in a list of them; None is one of them where a row has none."""
    encoded = column.combine_chunks()
    if not pa.types.is_dictionary(encoded.type):
        encoded = encoded.dictionary_encode()
    words: list[str | None] = [*encoded.dictionary.to_pylist(), None]
    found = encoded.indices.fill_null(len(words) - 1).to_numpy(zero_copy_only=False).astype(np.int64)
    return found, words


def ids(column: pa.ChunkedArray) -> npt.NDArray[np.bytes_]:
    """Return the ids of samples, 32 hex digits each, as their bytes."""
    fixed = column.combine_chunks().cast(pa.binary()).cast(pa.binary(32))
    found: npt.NDArray[np.bytes_] = np.frombuffer(fixed.buffers()[1], dtype="S32", count=len(fixed))
    return found


def vectors(column: pa.ChunkedArray) -> Iterator[npt.NDArray[np.float32] | None]:
    """Yield the embeddings of a column; None where there is none."""
    for chunk in column.chunks:
        ends, values = chunk.offsets.to_numpy(), chunk.values.to_numpy(zero_copy_only=False)
        there = chunk.is_valid().to_numpy(zero_copy_only=False)
        for row, known in enumerate(there):
            yield values[ends[row] : ends[row + 1]].astype(np.float32) if known else None


def _read(path: Path, columns: Sequence[str] | None = None) -> pa.Table:
    try:
        with pq.ParquetFile(path) as file:
            return file.read(columns=None if columns is None else list(columns))
    except (OSError, pa.ArrowInvalid) as error:
        raise BadInput(f"{path} cannot be read: {error}; record it again") from error


def _rows(path: Path, vector: str) -> list[dict[str, Any]]:
    """Return a file's rows; one column is of vectors, which as lists of numbers would take ten times the memory."""
    table = _read(path)
    rows: list[dict[str, Any]] = table.drop_columns([vector]).to_pylist()
    return [row | {vector: one} for row, one in zip(rows, vectors(table[vector]), strict=True)]


def _there(column: pa.ChunkedArray) -> Bools:
    there: Bools = column.is_valid().to_numpy().astype(np.bool_)
    return there


def _maybe(column: pa.ChunkedArray | pa.Array) -> Maybe:
    there = column.is_valid().to_numpy(zero_copy_only=False) if isinstance(column, pa.Array) else _there(column)
    filled = pc.cast(pc.fill_null(column, 0), pa.float64())
    return Maybe(np.asarray(filled, dtype=np.float64), np.asarray(there, dtype=np.bool_))


def _bools(column: pa.ChunkedArray | pa.Array) -> Bools:
    return np.asarray(pc.fill_null(column, False), dtype=np.bool_)


def _lists(column: pa.ChunkedArray) -> pa.ListArray:
    """Return lists in one piece, each null one as an empty one that ends where it begins."""
    whole = column.combine_chunks()
    # A slice shares the values of the whole, and its offsets do not begin at 0.
    return pc.fill_null(whole, pa.scalar([], whole.type))


def _others(table: pa.Table) -> Others:
    similarity, resembles, protected = (_lists(table[name]) for name in _OTHERS)
    return Others(
        similarity=np.asarray(similarity.flatten(), dtype=np.float64),
        resembles_target=_maybe(resembles.flatten()),
        protected=_bools(protected.flatten()),
        ends=_ends(similarity),
    )


def _ends(lists: pa.ListArray) -> npt.NDArray[np.int64]:
    counts = np.asarray(lists.value_lengths(), dtype=np.int64)
    return np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)


def _reasons(column: pa.ChunkedArray) -> Masks:
    """Return lists of reasons as masks; each stands in its list once, so that their bits add up."""
    lists = _lists(column)
    known = pa.array([code.value for code in ReasonCode])
    found = pc.index_in(lists.flatten(), known)
    if found.null_count:
        raise BadInput("the recording has reasons that this release does not know: replay it with the one that made it")
    bits = np.array([bit(code) for code in ReasonCode], dtype=np.int64)[np.asarray(found, dtype=np.int64)]
    sums = np.concatenate([[0], np.cumsum(bits)])
    ends = _ends(lists)
    masks: Masks = (sums[ends[1:]] - sums[ends[:-1]]).astype(np.uint16)
    return masks


def _identity(row: dict[str, Any]) -> Identity:
    return Identity(
        identity=row["identity"],
        origin=Origin(row["origin"]),
        centroid=row["centroid"],
        references=row["references"],
        concentration=row["concentration"],
        protected=row["protected"],
    )


def _reference(row: dict[str, Any]) -> Reference:
    return Reference(
        reference_id=row["reference_id"],
        identity=row["identity"],
        origin=Origin(row["origin"]),
        image_sha256=row["image_sha256"],
        embedding=row["embedding"],
    )
